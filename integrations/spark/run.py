"""Scores and selects on Spark what `pipeline run` does on one machine; the same samples, tau and masks come out.

    spark-submit integrations/spark/run.py pipelines/select.yaml
    python integrations/spark/run.py pipelines/select.yaml --set output.path=../out/spark

Executors need what a local run needs at the same paths: Node, this repository, model and data (a shared file system).
docs/scaling.md says how to size it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pyspark.sql import SparkSession  # noqa: E402

import job  # noqa: E402
from job_failed import JobFailed  # noqa: E402
from pipeline_command import CommandFailed, PipelineCommand  # noqa: E402

HERE = Path(__file__).resolve().parent


def open_session(name: str) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # a virtual environment's packages are the workers' too
    builder = SparkSession.builder.appName(f"vig-pipeline {name}")
    # spark-submit has chosen the master; a SparkConf made here would not know it, since no JVM is asked yet.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        builder = builder.master("local[*,4]")  # four attempts, as on a cluster; a plain local[*] tries once
    # Small batches: a row of scores has hundreds of tokens.
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    session = builder.getOrCreate()
    for module in ("worker_process.py", "radix.py"):
        session.sparkContext.addPyFile(str(HERE / module))
    return session


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("config", help="configuration (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="override a value of the configuration; repeatable")
    parser.add_argument("--tasks", type=int, default=None, help="scoring tasks; default: eight for each that can run at once")
    parser.add_argument("--pipeline", default=str(HERE.parents[1] / "bin" / "pipeline.js"), help="the command, on every executor")
    arguments = parser.parse_args()
    command = PipelineCommand(arguments.pipeline, str(Path(arguments.config).resolve()), arguments.set)
    try:
        described = command.describe()
        output = job.check(described)
        session = open_session(described["name"])
        try:
            return job.run(session, command, described, output, arguments.tasks)
        finally:
            session.stop()
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except JobFailed as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
