"""manifest.json as a local run writes it; docs/outputs.md describes the fields."""

from __future__ import annotations

import json
import time
from pathlib import Path


def make(described: dict, *, run_id: str, started: float, phases: dict[str, float], success: bool, counts: dict, thresholds: list[dict], input_identity: dict, spark: dict) -> dict:
    now = time.time()
    return {
        "manifest_version": 1,
        "name": described["name"],
        "run_id": run_id,
        "started_at": moment(started),
        "finished_at": moment(now),
        "success": success,
        "plan_hash": described["plan_hash"],
        "scores_hash": described["scores_hash"],
        "input": {**described["input"], **input_identity},
        "model": described["model"],
        "blur": described["blur"],
        "counts": counts,
        "thresholds": thresholds,
        "words": {"highest": [], "lowest": []},
        "warnings": described["warnings"],
        "duration_ms": round(1000 * (now - started)),
        # Each from the end of the one before.
        "duration_ms_by_phase": {name: round(1000 * (end - begin)) for begin, (name, end) in zip([started, *phases.values()], phases.items())},
        "stage_ms": {},
        "plan": described["plan"],
        "versions": described["versions"],
        "spark": spark,
    }


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03}Z"


def add_counts(records: list[str]) -> dict:
    """The masks' counts of all tasks together. Shares become counts again, so that they add up exactly."""
    total: dict = {"num_vig": 0, "num_text_only": 0, "num_kept_vig": 0, "num_ties": 0, "num_tokens": 0, "num_vig_tokens": 0, "num_active": 0, "num_vig_active": 0}
    below = above = tokens = 0
    eps = None
    for counts in map(json.loads, records):
        near_zero = counts.pop("near_zero")
        for name, value in counts.items():
            total[name] += value
        if near_zero is None:
            continue
        eps = near_zero["eps"]
        tokens += counts["num_vig_tokens"]
        below += round(near_zero["active_share_below"] * counts["num_vig_tokens"])
        above += round(near_zero["active_share_above"] * counts["num_vig_tokens"])
    near = None if eps is None else {"eps": eps, "active_share_below": below / tokens, "active_share_above": above / tokens}
    return {**total, "near_zero": near}


def summary(manifest: dict, path: Path) -> str:
    counts = manifest["counts"]
    lines = [f"{'done' if manifest['success'] else 'too many rejects'} {manifest['name']}: {path}"]
    lines.append(f"samples      {counts['num_read']} read, {counts['num_scored']} scored, {counts['num_text_only']} text-only, {counts['num_rejected']} rejected")
    for threshold in manifest["thresholds"]:
        kept = threshold["counts"]
        share = f"{100 * kept['num_vig_active'] / kept['num_vig_tokens']:.1f}%" if kept["num_vig_tokens"] else "none"
        lines.append(f"{threshold['dataset']:<12} tau {threshold['tau']} nats, {share} of answer tokens active, {kept['num_kept_vig']} of {kept['num_vig']} samples kept")
    return "\n".join(lines)
