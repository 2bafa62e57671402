"""The output folder that a Spark job writes: Spark's own writer and commit protocol, then the names of docs/outputs.md."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

from pyspark.sql import DataFrame

from job_failed import EXIT_BAD_CONFIGURATION, EXIT_LOCKED, JobFailed

ROWS_IN_PART = 100_000


class SparkOutput:
    """Held by one driver at a time. Nothing of a data set is visible before it is whole."""

    def __init__(self, path: Path, compression: str) -> None:
        self.path = path
        self.work = path / "_work" / "spark"
        self._compression = compression

    def refuse_local(self) -> None:
        """Raises JobFailed where `pipeline run` or a shard of it has been."""
        if any((self.path / "_work" / name).exists() for name in ("plan.json", "shards")):
            raise JobFailed(f"{self.path} holds scores of a local run: choose another folder (--set output.path=...)", EXIT_BAD_CONFIGURATION)

    def __enter__(self) -> "SparkOutput":
        self.refuse_local()
        self.work.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.work / "lock", "w")  # noqa: SIM115 - held until __exit__
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise JobFailed(f"another driver is writing {self.path}: wait until it ends", EXIT_LOCKED) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def write(self, dataset: str, frame: DataFrame) -> None:
        """Spark commits the files under the work folder; then they get their names and their place."""
        made = self.work / f"writing-{dataset}"
        frame.write.mode("overwrite").option("compression", self._compression).parquet(str(made))
        for name in ("_SUCCESS", *(file.name for file in made.glob(".*.crc"))):
            (made / name).unlink(missing_ok=True)
        for number, file in enumerate(sorted(made.glob("part-*.parquet"))):
            file.rename(made / f"part-{number:05}.parquet")
        (self.path / "_SUCCESS").unlink(missing_ok=True)
        target = self.path / dataset
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)

    def finish(self, manifest: dict, selections: list[str], success: bool) -> None:
        for folder in self.path.glob("selection*"):
            if folder.name not in selections:
                shutil.rmtree(folder)
        self._write_whole("manifest.json", json.dumps(manifest, indent=2, allow_nan=False) + "\n")
        if success:
            self._write_whole("_SUCCESS", "")

    def _write_whole(self, name: str, text: str) -> None:
        temporary = self.path / f"{name}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.path / name)
