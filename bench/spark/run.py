"""Spark against the local run on the same cores, over the demo data: samples a second of the scoring stage and of the whole command.

    .cache/interop/bin/python bench/spark/run.py            # local, local[2], local-cluster[2,1,2048], three rounds
    .cache/interop/bin/python bench/spark/run.py --rounds 1 --samples 200 --masters 'local[2]'

Prints one table. The local run has the defaults of the machine; Spark two tasks of one thread each. Scoring is the phase `score` of both
manifests, loading models included: Spark's also starts two Python workers with two pipeline workers, and writes the checkpoint.
More samples than the demo data has are the same ones again under other ids, in splits of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MASTERS = ("local[2]", "local-cluster[2,1,2048]")


def timed(words: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])
    return time.perf_counter() - start


def local(folder: Path, changes: list[str]) -> tuple[float, float]:
    seconds = timed(["node", "bin/pipeline.js", "run", "pipelines/select.yaml", "--quiet", *changes], {})
    return seconds, json.loads((folder / "manifest.json").read_text())["duration_ms_by_phase"]["score"] / 1000


def spark(folder: Path, changes: list[str], master: str) -> tuple[float, float]:
    import pyspark

    home = Path(pyspark.__file__).parent
    submit = [str(home / "bin" / "spark-submit"), "--master", master, "--conf", "spark.ui.enabled=false", "--conf", "spark.executor.memory=1g"]
    seconds = timed([*submit, "integrations/spark/run.py", "pipelines/select.yaml", *changes], {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)})
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["spark"]["master"] == master
    return seconds, manifest["duration_ms_by_phase"]["score"] / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=None, help="default: the demo data once")
    parser.add_argument("--masters", nargs="*", default=MASTERS)
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[float, float]]] = {"pipeline run": [], **{master: [] for master in arguments.masters}}
    with tempfile.TemporaryDirectory() as scratch:
        demo = json.loads((ROOT / "data" / "demo" / "train.json").read_text(encoding="utf-8"))
        records = [{**demo[i % len(demo)], "id": f"sample-{i}"} for i in range(arguments.samples or len(demo))]
        (Path(scratch) / "train.json").write_text(json.dumps(records), encoding="utf-8")
        for number in range(arguments.rounds):
            for name, times in rows.items():
                folder = Path(scratch) / f"{number}-{len(times)}-{abs(hash(name))}"
                sets = {"output.path": folder, "output.report": "false", "source.annotations": Path(scratch) / "train.json", "source.split_samples": 32}
                changes = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
                times.append(local(folder, changes) if name == "pipeline run" else spark(folder, changes, name))
    print(f"{len(records)} samples, {arguments.rounds} rounds, medians, {os.cpu_count()} cores; load in the last 15 minutes {os.getloadavg()[2]:.1f}\n")
    print("| | scoring s | samples/s | ratio, from the worst round to the best | whole command s |\n|---|---:|---:|---:|---:|")
    for name, times in rows.items():
        whole, scoring = (statistics.median(column) for column in zip(*times))
        ratios = sorted(base / seconds for (_, base), (_, seconds) in zip(rows["pipeline run"], times))  # within a round: loads change
        print(f"| {name} | {scoring:.1f} | {len(records) / scoring:.1f} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {whole:.1f} |")


if __name__ == "__main__":
    main()
