"""Every recipe of docs/recipes.md runs, and says what it claims."""

import math
import re

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

TEXT = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
SQL = {match[1]: match[0] for match in re.findall(r"```sql\n(-- recipe: ([\w-]+)\n.*?)```", TEXT, re.DOTALL)}
PYTHON = {match[1]: match[0] for match in re.findall(r"```python\n(# recipe: ([\w-]+)\n.*?)```", TEXT, re.DOTALL)}


@pytest.fixture(scope="module")
def scores(output):
    return pq.read_table(output / "scores").to_pylist()


@pytest.fixture(scope="module")
def selection(output):
    return pq.read_table(output / "selection").to_pylist()


@pytest.fixture(scope="module")
def vigs(scores):
    return sorted((row["vig"] for row in scores if row["vig"] is not None), reverse=True)


@pytest.fixture
def ask(output):
    """Runs the recipe of that name; its rows as dictionaries."""

    def run(name):
        query = SQL[name].replace("out/select", str(output)).replace("data/demo", str(ROOT / "data" / "demo"))
        relation = duckdb.sql(query)
        return [dict(zip(relation.columns, row)) for row in relation.fetchall()]

    return run


@pytest.fixture
def execute(output, tmp_path, monkeypatch):
    """Runs the Python recipe of that name; what it defined."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))

    def run(name):
        names = {}
        exec(PYTHON[name].replace("out/select", str(output)), names)  # the document's own text
        return names

    return run


def test_there_are_ten():
    assert len(SQL) + len(PYTHON) >= 10
    assert len(re.findall(r"^```(sql|python)$", TEXT, re.MULTILINE)) == len(SQL) + len(PYTHON)


def test_tau(ask, vigs):
    found = {row["p"]: row["tau"] for row in ask("tau")}
    assert found == {p: vigs[math.ceil(p * len(vigs) / 100) - 1] for p in (30, 50, 70, 90)}


def test_keep(ask, scores):
    for row in ask("keep"):
        kept = [sample for sample in scores if sample["vig"] is not None and sample["vig"] >= float(row["tau"])]
        assert row["samples"] == len(kept)
        assert (row["active_tokens"] or 0) == sum(value >= float(row["tau"]) for sample in kept for value in sample["token_vig"])


def test_words(ask):
    rows = ask("words")
    means = [row["mean_vig"] for row in rows]
    assert len(rows) > 5 and means == sorted(means, reverse=True)


def test_sources(ask, scores):
    rows = ask("sources")
    assert {row["source"] for row in rows} == {sample["source"] for sample in scores}
    assert sum(row["samples"] for row in rows) == len(scores)


def test_hurt(ask, vigs):
    rows = ask("hurt")
    assert [row["vig"] for row in rows] == [round(vig, 4) for vig in sorted(vig for vig in vigs if vig < 0)[:20]]


def test_tokens(ask, selection):
    best = max((row for row in selection if row["kept_as"] == "vig"), key=lambda row: row["vig"])
    assert [(row["token"], row["active"]) for row in ask("tokens")] == list(zip(best["token_text"], best["loss_mask"]))


def test_json(ask, selection):
    rows = ask("json")
    assert {row["id"] for row in rows} == {row["sample_id"] for row in selection}
    assert "conversations" in rows[0]


def test_left_out(ask, scores, selection):
    dropped = sum(row["dropped"] for row in ask("left-out") if not row["source"].startswith("rejected: "))
    assert dropped == len(scores) - len(selection) > 0


def test_overlap(execute):
    assert execute("overlap")["jaccard"] == 1


def test_places(execute, selection):
    places = execute("places")["places"]
    kept = [row for row in selection if row["kept_as"] == "vig"]
    assert places["samples"].to_list()[0] == len(kept)
    assert places["share"].to_list()[0] == pytest.approx(sum(row["loss_mask"][0] for row in kept) / len(kept))


def test_datasets(execute, selection):
    dense = execute("datasets")["dense"]
    assert dense.num_rows == sum(row["num_active"] >= 5 for row in selection)
