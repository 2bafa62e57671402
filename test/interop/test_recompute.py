"""What the output claims, recomputed from its stored values by other programs than the one that wrote it."""

import math

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest


def rows(output, name):
    return ds.dataset(output / name, format="parquet").to_table()


@pytest.fixture(scope="module")
def scores(output):
    return rows(output, "scores").to_pylist()


@pytest.fixture(scope="module")
def selection(output):
    return rows(output, "selection").to_pylist()


@pytest.fixture(scope="module")
def threshold(manifest):
    return next(t for t in manifest["thresholds"] if t["dataset"] == "selection")


def is_scored(row):
    return row["vig"] is not None


def test_there_is_something_to_test(scores, selection):
    assert sum(map(is_scored, scores)) > 100
    assert any(not is_scored(row) for row in scores)
    assert any(row["kept_as"] == "text_only" for row in selection)
    assert 0 < len(selection) < len(scores)


def test_vig_is_the_mean_of_token_vig_and_the_difference_of_the_nlls(scores):
    for row in filter(is_scored, scores):
        token_vig = np.array(row["token_vig"], dtype=np.float32)
        assert row["vig"] == pytest.approx(token_vig.astype(np.float64).mean(), abs=1e-12, rel=1e-12)
        # token_vig is rounded to float32 once more than the two means are.
        largest = max(row["nll_blur"], row["nll_image"], float(np.abs(token_vig).max()), 1.0)
        assert row["vig"] == pytest.approx(row["nll_blur"] - row["nll_image"], abs=4e-7 * largest)
        nlls = np.array(row["token_nll_image"], dtype=np.float32)
        assert row["nll_image"] == pytest.approx(nlls.astype(np.float64).mean(), rel=1e-12)


def test_vig_in_sql_is_the_same(sql):
    [(worst,)] = sql("SELECT max(abs(vig - list_avg(token_vig::DOUBLE[]))) FROM scores WHERE vig IS NOT NULL")
    assert worst < 1e-12
    [(worst,)] = sql("SELECT max(abs(vig - (nll_blur - nll_image))) FROM scores")
    assert worst < 1e-5


def test_lists_of_a_sample_have_its_length(scores):
    for row in scores:
        assert row["num_tokens"] == len(row["token_id"]) == len(row["token_text"]) > 0
        if is_scored(row):
            assert len(row["token_vig"]) == len(row["token_nll_image"]) == row["num_tokens"]
            assert all(math.isfinite(value) and value >= 0 for value in row["token_nll_image"])
        else:
            assert [row[name] for name in ("nll_image", "nll_blur", "token_nll_image", "token_vig")] == [None] * 4
            assert row["images"] == []


def test_token_text_gives_the_answers(scores):
    """Answers stand in the concatenated token texts, in order; markup such as an end of turn may stand between."""
    for row in scores:
        text = "".join(row["token_text"])
        at = 0
        for message in row["messages"]:
            if message["role"] == "assistant":
                answer = message["content"].strip()
                found = text.find(answer, at)
                assert found >= 0, (row["sample_id"], answer, text)
                at = found + len(answer)


def test_sample_ids_are_unique(sql):
    assert sql("SELECT count(*) = count(DISTINCT sample_id) FROM scores") == [(True,)]


def test_tau_is_the_kth_largest_vig(scores, threshold):
    vigs = sorted((row["vig"] for row in scores if is_scored(row)), reverse=True)
    k = math.ceil(threshold["top_percent"] / 100 * len(vigs))
    assert threshold["k"] == k
    assert threshold["tau"] == vigs[k - 1]


def test_tau_in_sql_is_the_same(sql, threshold):
    query = "SELECT vig FROM scores WHERE vig IS NOT NULL ORDER BY vig DESC LIMIT 1 OFFSET {}"
    assert sql(query.format(threshold["k"] - 1)) == [(threshold["tau"],)]


def test_selection_is_what_the_rule_says(scores, selection, threshold):
    """Bit for bit: vig >= tau in float64; token_vig, float32 widened to float64, >= tau."""
    tau = threshold["tau"]
    expected = []
    for row in scores:
        if not is_scored(row):
            kept_as, mask = "text_only", [True] * row["num_tokens"]
        elif row["vig"] >= tau:
            kept_as, mask = "vig", [value >= tau for value in row["token_vig"]]
        else:
            continue
        expected.append(
            {name: row[name] for name in ("sample_id", "source", "images", "messages", "vig", "token_id", "token_text")}
            | {"loss_mask": mask, "num_active": sum(mask), "kept_as": kept_as}
        )
    names = list(expected[0])
    assert [{name: row[name] for name in names} for row in selection] == expected


def test_manifest_counts(sql, manifest, threshold):
    counts = manifest["counts"]
    [(scored, text_only, tokens)] = sql("SELECT count(vig), count(*) - count(vig), sum(num_tokens) FROM scores")
    [(rejected,)] = sql("SELECT count(*) FROM rejects")
    assert (counts["num_scored"], counts["num_text_only"], counts["num_tokens"]) == (scored, text_only, tokens)
    assert counts["num_rejected"] == rejected == sum(counts["rejects_by_code"].values())
    assert counts["num_read"] == scored + text_only + rejected
    assert dict(sql("SELECT code, count(*) FROM rejects GROUP BY code")) == counts["rejects_by_code"]

    kept = threshold["counts"]
    [(by_vig, by_text, active)] = sql(
        "SELECT count(*) FILTER (kept_as = 'vig'), count(*) FILTER (kept_as = 'text_only'), sum(num_active) FROM selection"
    )
    assert (kept["num_kept_vig"], kept["num_text_only"], kept["num_active"]) == (by_vig, by_text, active)


def test_rows_are_in_input_order(scores, selection):
    order = {row["sample_id"]: index for index, row in enumerate(scores)}
    places = [order[row["sample_id"]] for row in selection]
    assert places == sorted(places)


def test_null_and_kept_as_agree(output):
    table = rows(output, "selection")
    assert pc.all(pc.equal(pc.is_null(table["vig"]), pc.equal(table["kept_as"], "text_only"))).as_py()
