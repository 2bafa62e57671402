"""The output folder under test: the main job's, or the one that VIG_OUTPUT names."""

import json
import os
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def output() -> Path:
    folder = Path(os.environ.get("VIG_OUTPUT", ROOT / "out" / "select"))
    assert (folder / "_SUCCESS").exists(), f"{folder} is not complete: run `npm start` first"
    return folder


@pytest.fixture(scope="session")
def manifest(output: Path) -> dict:
    return json.loads((output / "manifest.json").read_text())


@pytest.fixture(scope="session")
def sql(output: Path):
    """Runs a query in which scores, selection and rejects are tables."""
    connection = duckdb.connect()
    for name in ("scores", "selection", "rejects"):
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{output}/{name}/*.parquet'")
    return lambda query: connection.execute(query).fetchall()
