"""Every reader sees the same rows and the same types."""

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCORES_TYPES = {
    "sample_id": pa.string(),
    "source": pa.string(),
    "num_tokens": pa.int32(),
    "nll_image": pa.float64(),
    "nll_blur": pa.float64(),
    "vig": pa.float64(),
}
LIST_TYPES = {"images": pa.string(), "token_id": pa.int32(), "token_text": pa.string(), "token_nll_image": pa.float32(), "token_vig": pa.float32()}


@pytest.fixture(params=["scores", "selection"])
def dataset(request, output):
    return output / request.param


def test_parts_are_named_as_readers_expect(output):
    for name in ("scores", "selection", "rejects"):
        files = sorted(path.name for path in (output / name).iterdir())
        assert files == [f"part-{index:05d}.parquet" for index in range(len(files))] != []
    visible = {path.name for path in output.iterdir() if path.name[0] not in "._"}
    assert {"scores", "selection", "rejects", "manifest.json"} <= visible
    assert [path for path in output.rglob("*.parquet") if path.parent.name not in visible] == [] or (output / "_work").exists()


def test_types_are_the_contract(output):
    schema = pq.read_table(output / "scores").schema
    for name, type_ in SCORES_TYPES.items():
        assert schema.field(name).type == type_
    for name, element in LIST_TYPES.items():
        assert schema.field(name).type.value_type == element
    assert schema.field("messages").type.value_type == pa.struct([("role", pa.string()), ("content", pa.string())])
    selection = pq.read_table(output / "selection").schema
    assert selection.field("loss_mask").type.value_type == pa.bool_()
    assert selection.field("num_active").type == pa.int32()


def test_lists_have_three_levels(output):
    """What Spark and every standard reader wants: list, then a repeated group, then the element."""
    file = next(iter(sorted((output / "scores").iterdir())))
    paths = [pq.ParquetFile(file).schema.column(index).path for index in range(len(pq.ParquetFile(file).schema))]
    assert "token_vig.list.element" in paths
    assert "messages.list.element.role" in paths


def test_pandas_polars_and_datasets_agree_with_pyarrow(dataset, tmp_path):
    expected = pq.read_table(dataset).to_pylist()
    assert pl.read_parquet(f"{dataset}/*.parquet").to_dicts() == expected
    hub = datasets.load_dataset("parquet", data_files=f"{dataset}/*.parquet", split="train", cache_dir=str(tmp_path))
    assert hub.num_rows == len(expected)
    assert list(hub.select(range(3))) == expected[:3]
    frame = pd.read_parquet(dataset)
    assert frame["sample_id"].tolist() == [row["sample_id"] for row in expected]
    assert [list(value) for value in frame["token_id"]] == [row["token_id"] for row in expected]
