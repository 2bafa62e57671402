"""integrations/spark on real Spark gives what `pipeline run` gives, whatever is killed on the way."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import IMAGES, ROOT, pipeline

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 17 or newer: apt-get install openjdk-17-jre-headless")

SPARK = ROOT / "integrations" / "spark"
sys.path.insert(0, str(SPARK))

import radix  # noqa: E402

NUM_SAMPLES = 60


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """A configuration with text-only samples and a corrupt image, and what the local run makes of it."""
    folder = tmp_path_factory.mktemp("spark")
    records = json.loads((IMAGES.parent / "train.json").read_text(encoding="utf-8"))[:NUM_SAMPLES]
    images = folder / "images"
    images.mkdir()
    for record in records:
        for name in [record["image"]] if isinstance(record.get("image"), str) else record.get("image", []):
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(IMAGES / name, images / name)
    corrupt = next(record for record in records if record.get("image"))
    (images / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\nand nothing more")
    records.insert(7, {**corrupt, "id": "corrupt", "image": "corrupt.png"})
    (folder / "train.json").write_text(json.dumps(records), encoding="utf-8")
    model = ROOT / "test" / "fixtures" / "models" / "llava"
    (folder / "job.yaml").write_text(f"""
version: 1
name: spark
source: {{ kind: llava_json, annotations: train.json, image_root: images, split_samples: 6 }}
model: {{ path: {model} }}
stages:
  - decode: {{}}
  - blur: {{}}
  - paired_inference: {{}}
  - token_delta: {{}}
  - quantile_threshold: {{ top_percent: [70, 33.3] }}
  - mask: {{}}
output: {{ path: local, report: false }}
max_reject_fraction: 0.1
""")
    pipeline("run", folder / "job.yaml", "--quiet")
    return folder


def spark_run(job: Path, out: str, master: str = "local[2,4]", tasks: int = 6, during=None, environment=None) -> subprocess.CompletedProcess:
    """`spark-submit run.py`; `during` is called with the process while it runs."""
    import pyspark

    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    conf = ["--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=2", "--conf", "spark.executor.memory=512m"]
    words = [str(submit), "--master", master, *conf, str(SPARK / "run.py"), str(job / "job.yaml"), "--set", f"output.path={out}", "--tasks", str(tasks)]
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(Path(pyspark.__file__).parent), **(environment or {})}
    process = subprocess.Popen(words, cwd=job, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if during is not None:
        threading.Thread(target=during, args=(process,), daemon=True).start()
    stdout, stderr = process.communicate(timeout=900)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def expect_local(job: Path, out: str, master: str = "local[2,4]") -> None:
    """Every value of every data set is the local run's: floats by their bits, rows in the same order."""
    for dataset in ("scores", "selection", "selection@33.3", "rejects"):
        expected, found = pq.read_table(job / "local" / dataset), pq.read_table(job / out / dataset)
        assert found.column_names == expected.column_names
        assert found.to_pylist() == expected.to_pylist(), dataset
    local, spark = (json.loads((job / name / "manifest.json").read_text()) for name in ("local", out))
    assert spark["spark"]["master"] == master
    assert spark["thresholds"] == local["thresholds"]
    for name in ("counts", "plan_hash", "scores_hash", "success"):
        assert spark[name] == local[name], name
    assert spark["input"]["digest"] == local["input"]["digest"]
    assert (job / out / "_SUCCESS").exists()
    assert sorted(file.name for file in (job / out / "scores").iterdir()) == ["part-00000.parquet"]


@pytest.fixture(scope="module")
def finished(job) -> Path:
    done = spark_run(job, "spark")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "tau" in done.stdout
    return job / "spark"


def test_scores_tau_and_masks_are_the_local_run_s(job, finished):
    expect_local(job, "spark")
    assert [row["code"] for row in pq.read_table(finished / "rejects").to_pylist()] == ["image_corrupt"]


def test_the_project_s_own_readers_open_it(job, finished):
    pipeline("report", finished)
    pipeline("export", finished, "--to", "llava-json", "--out", job / "exported", "--quiet")


def test_a_second_run_scores_nothing_again(job, finished):
    made = next((finished / "_work" / "spark").glob("scored-*/_SUCCESS")).stat().st_mtime_ns
    done = spark_run(job, "spark")
    assert done.returncode == 0, done.stderr[-3000:]
    assert next((finished / "_work" / "spark").glob("scored-*/_SUCCESS")).stat().st_mtime_ns == made
    expect_local(job, "spark")


def test_neither_writes_into_the_other_s_folder(job, finished):
    def refusal(program: list[str], output: str) -> str:
        done = subprocess.run([*program, "--set", f"output.path={job / output}"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        return done.stderr

    config = str(job / "job.yaml")
    assert "holds scores of a local run" in refusal([sys.executable, str(SPARK / "run.py"), config], "local")
    for verb in ("run", "select"):
        said = refusal(["node", "bin/pipeline.js", verb, config, "--log-format", "text"], "spark")
        assert "is written by Spark" in said
        assert "run integrations/spark/run.py again" in said
    expect_local(job, "spark")


def children(pid: int) -> list[int]:
    """All processes below, from above to below. Each thread has its own list."""
    try:
        found = [int(child) for thread in Path(f"/proc/{pid}/task").glob("*/children") for child in thread.read_text().split()]
    except OSError:
        return []
    return found + [below for child in found for below in children(child)]


WORKER = r"pipeline\.js worker .*--stdio"


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill_one(pattern: str, killed: list[int], delay: float = 0.7):
    """Kills one process below whose command line matches, a moment after it is or has a worker, so while it scores."""

    def is_scoring(pid: int) -> bool:
        return any(re.search(WORKER, command_of(below)) for below in (pid, *children(pid)))

    def during(process: subprocess.Popen) -> None:
        while process.poll() is None and not killed:
            found = [pid for pid in children(process.pid) if re.search(pattern, command_of(pid)) and is_scoring(pid)]
            if found:
                time.sleep(delay)
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
            time.sleep(0.1)

    return during


def test_a_worker_process_that_is_killed_costs_a_retry_and_no_row(job):
    killed: list[int] = []
    done = spark_run(job, "worker-killed", during=kill_one(WORKER, killed))
    assert done.returncode == 0, done.stderr[-3000:]
    assert killed
    assert "ended with signal 9" in done.stderr
    expect_local(job, "worker-killed")


def test_an_executor_that_is_killed_costs_a_retry_and_no_row(job):
    killed: list[int] = []
    master = "local-cluster[2,1,1024]"
    done = spark_run(job, "executor-killed", master=master, during=kill_one(r"CoarseGrainedExecutorBackend", killed))
    assert done.returncode == 0, done.stderr[-3000:]
    assert killed
    assert "Lost executor" in done.stderr
    expect_local(job, "executor-killed", master)


@pytest.mark.parametrize("seed", range(20))
def test_radix_select_is_sorting(seed):
    rng = random.Random(seed)
    kinds = [lambda: rng.gauss(0, 1), lambda: rng.choice([0.0, -0.0, 1e-300, -1e-300, 0.25]), lambda: rng.uniform(0.1, 0.1 + 1e-13), lambda: rng.gauss(0, 1) * 10.0 ** rng.randint(-200, 200)]
    values = np.array([rng.choice(kinds)() for _ in range(rng.randint(1, 3000))])
    parts = np.array_split(values, 5)
    descending = sorted(values, reverse=True)
    ranks = {radix.top_percent_rank(percent, len(values)) for percent in (0.1, 33.3, 70, 70.1, 100)}

    def count(prefixes, num_digits):
        total: radix.Counts = {}
        for part in parts:
            for key, num in radix.count_digits(part, prefixes, num_digits).items():
                total[key] = total.get(key, 0) + num
        return total

    first = {digit: num for (_, digit), num in count([0], 0).items()}
    found = radix.kth_largest(first, ranks, count)
    assert {rank: found[rank] for rank in ranks} == {rank: descending[rank - 1] for rank in ranks}


def test_ranks_take_percentages_as_they_are_written():
    assert radix.top_percent_rank(70.1, 1000) == 701
    assert radix.top_percent_rank(0, 10) == 0
    assert radix.top_percent_rank(100, 10) == 10
