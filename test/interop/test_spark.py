"""Spark reads the output with its vectorised reader, nested columns included, and its SQL comes to the same masks."""

import math
import shutil
import struct

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17 or newer: apt-get install openjdk-17-jre-headless")


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.parquet.enableVectorizedReader", "true")
        .config("spark.sql.parquet.enableNestedColumnVectorizedReader", "true")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def scores(spark, output):
    frame = spark.read.parquet(str(output / "scores"))
    frame.createOrReplaceTempView("scores")
    return frame


@pytest.fixture(scope="module")
def selection(spark, output):
    frame = spark.read.parquet(str(output / "selection"))
    frame.createOrReplaceTempView("selection")
    return frame


def test_types_are_the_contract(scores, selection):
    assert dict(scores.dtypes) == {
        "sample_id": "string",
        "source": "string",
        "images": "array<string>",
        "messages": "array<struct<role:string,content:string>>",
        "num_tokens": "int",
        "nll_image": "double",
        "nll_blur": "double",
        "vig": "double",
        "token_id": "array<int>",
        "token_text": "array<string>",
        "token_nll_image": "array<float>",
        "token_vig": "array<float>",
    }
    assert dict(selection.dtypes)["loss_mask"] == "array<boolean>"


def test_the_vectorised_reader_is_on(scores):
    plan = scores._jdf.queryExecution().executedPlan().toString()
    assert "Batched: true" in plan


@pytest.mark.parametrize("name", ["scores", "selection"])
def test_every_value_is_that_of_pyarrow(spark, output, name):
    frame = spark.read.parquet(str(output / name))
    found = sorted((row.asDict(recursive=True) for row in frame.collect()), key=lambda row: row["sample_id"])
    expected = sorted(pq.read_table(output / name).to_pylist(), key=lambda row: row["sample_id"])
    assert len(found) == len(expected) > 100
    assert list(map(digest, found)) == list(map(digest, expected))
    assert found == expected


def digest(row):
    """The floats by their bits, so that -0.0 and NaN count too."""
    return [struct.pack("<d", value) for name in ("vig", "token_vig") if row.get(name) is not None for value in as_list(row[name])]


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_masks_in_spark_sql_are_the_same(spark, scores, selection, manifest):
    threshold = next(t for t in manifest["thresholds"] if t["dataset"] == "selection")
    [[total]] = spark.sql("SELECT count(vig) FROM scores").collect()
    k = math.ceil(threshold["top_percent"] / 100 * total)
    [[tau]] = spark.sql(f"SELECT min(vig) FROM (SELECT vig FROM scores WHERE vig IS NOT NULL ORDER BY vig DESC LIMIT {k})").collect()
    assert tau == threshold["tau"]
    [[compared, wrong]] = spark.sql(f"""
        WITH expected AS (
          SELECT sample_id, CASE WHEN vig IS NULL THEN transform(token_id, t -> true)
                                 ELSE transform(token_vig, v -> CAST(v AS DOUBLE) >= CAST('{tau!r}' AS DOUBLE)) END AS loss_mask
          FROM scores WHERE vig IS NULL OR vig >= CAST('{tau!r}' AS DOUBLE))
        SELECT count(*), count_if(NOT (s.loss_mask <=> e.loss_mask)) FROM expected e FULL OUTER JOIN selection s USING (sample_id)
    """).collect()
    assert (compared, wrong) == (selection.count(), 0)
