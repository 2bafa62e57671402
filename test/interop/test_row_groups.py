"""Statistics stand in every row group, and readers use them: a filtered query reads fewer row groups."""

import subprocess

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

STATISTICS = ["sample_id", "num_tokens", "vig"]
FILTERS = {
    "vig": (ds.field("vig") >= 3.2, "vig >= 3.2"),
    "sample_id": (ds.field("sample_id") >= "sample-041000", "sample_id >= 'sample-041000'"),
    "num_tokens": (ds.field("num_tokens") >= 13, "num_tokens >= 13"),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """45,000 rows, in which the three columns rise."""
    folder = tmp_path_factory.mktemp("large") / "scores"
    subprocess.run(["node", "--import", "tsx", "test/interop/write-scores.ts", str(folder)], cwd=ROOT, check=True, timeout=300)
    return folder / "part-00000.parquet"


def columns_with_statistics(metadata, row_group):
    group = metadata.row_group(row_group)
    columns = [group.column(index) for index in range(group.num_columns)]
    return [column.path_in_schema for column in columns if column.statistics is not None and column.statistics.has_min_max]


def test_statistics_are_there(output, large):
    for file in [*sorted((output / "scores").glob("*.parquet")), large]:
        metadata = pq.read_metadata(file)
        for group in range(metadata.num_row_groups):
            assert columns_with_statistics(metadata, group) == STATISTICS


def test_selections_have_them_too(output):
    for file in sorted((output / "selection").glob("*.parquet")):
        metadata = pq.read_metadata(file)
        for group in range(metadata.num_row_groups):
            assert columns_with_statistics(metadata, group) == ["sample_id", "vig"]


def test_statistics_are_true(large):
    file = pq.ParquetFile(large)
    assert file.num_row_groups == 3
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=STATISTICS)
        for index in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(index)
            if column.path_in_schema not in STATISTICS:
                continue
            values = [value for value in table[column.path_in_schema].to_pylist() if value is not None]
            assert (column.statistics.min, column.statistics.max) == (min(values), max(values))


# pyarrow makes no use of the bounds of a row group that has nulls, as vig has: test/readers/readers.test.ts shows a
# reader that does.
@pytest.mark.parametrize("column", ["sample_id", "num_tokens"])
def test_pyarrow_reads_fewer_row_groups(large, column):
    [fragment] = ds.dataset(large).get_fragments()
    chosen = fragment.subset(FILTERS[column][0])
    assert [group.id for group in chosen.row_groups] == [2]


@pytest.mark.parametrize("column", FILTERS)
def test_duckdb_prunes_by_the_statistics(large, column):
    """The bounds that DuckDB sees tell it which row groups it may skip; its answer is that of reading everything."""
    connection = duckdb.connect()
    bounds = connection.execute(
        f"SELECT row_group_id, stats_min_value, stats_max_value FROM parquet_metadata('{large}') WHERE path_in_schema = '{column}' ORDER BY 1"
    ).fetchall()
    assert len(bounds) == 3 and all(low is not None and high is not None for _, low, high in bounds)
    predicate = FILTERS[column][1]
    [(found,)] = connection.execute(f"SELECT count(*) FROM '{large}' WHERE {predicate}").fetchall()
    assert found == pq.read_table(large, filters=FILTERS[column][0]).num_rows > 100
