"""`pipeline worker --stdio` as a child of a Spark Python worker (docs/worker-protocol.md). Shipped to the executors.

One process is kept for each Python worker and serves its tasks one behind the other, so that the model is loaded once.
A task is one Arrow stream in and one out: a thread feeds, the caller reads.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark import Broadcast, TaskContext

PROTOCOL = "1"


class WorkerFailed(RuntimeError):
    """The worker said what went wrong, or died. Spark tries the task again."""


class PipelineWorker:
    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command
        # A session of its own would outlive the executor; logs go where the executor's go.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def answer(self, batches: Iterator[pa.RecordBatch], metadata: dict[str, str]) -> Iterator[pa.RecordBatch]:
        """The record batches that the worker sends back for these. Where the caller stops early, the worker is ended."""
        first = next(batches, None)
        if first is None:
            return
        described = {"vig_pipeline.protocol": PROTOCOL, **metadata}
        schema = first.schema.with_metadata(described)
        problems: list[BaseException] = []
        feeder = threading.Thread(target=self._feed, args=(schema, first, batches, problems), daemon=True)
        feeder.start()
        done = False
        try:
            with_errors = pa.ipc.open_stream(self._process.stdout)
            for batch in with_errors:
                raise_if_error(batch)
                yield batch
            feeder.join()
            done = not problems
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise WorkerFailed(f"{self._obituary()}: {error}") from error
        finally:
            if not done:
                self.kill()
        if problems:
            raise problems[0]

    def _feed(self, schema: pa.Schema, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch], problems: list[BaseException]) -> None:
        try:
            with pa.ipc.new_stream(self._process.stdin, schema) as writer:
                for batch in chain(first, rest):
                    writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                    self._process.stdin.flush()
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            problems.append(WorkerFailed(f"{self._obituary()}: {error}"))
        except BaseException as error:  # noqa: BLE001 - of the input: the reading side raises it
            problems.append(error)
            self.kill()  # the reader must not wait for an answer to half a question

    def _obituary(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "pipeline worker: its answer is damaged"
        return f"pipeline worker (pid {self.pid}) ended with {'signal ' + str(-code) if code < 0 else 'exit code ' + str(code)}"

    def close(self) -> None:
        """Between two tasks: the worker ends by itself when stdin does."""
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def chain(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def raise_if_error(batch: pa.RecordBatch) -> None:
    if batch.num_rows > 0 and batch.column("kind")[0].as_py() == "error":
        said = json.loads(batch.column("record")[0].as_py())
        remedy = f"; {said['remedy']}" if said.get("remedy") else ""
        raise WorkerFailed(f"{said['name']}: {said['message']}{remedy}")


_kept: dict[int, PipelineWorker] = {}


def kept_worker(command: tuple[str, ...]) -> PipelineWorker:
    """This Python worker's process, started where there is none, it has died, or another command is wanted."""
    worker = _kept.get(os.getpid())
    if worker is not None and (worker.command != command or not worker.is_alive()):
        worker.close()
        worker = None
    if worker is None:
        worker = PipelineWorker(command)
        _kept[os.getpid()] = worker
        atexit.register(worker.close)
    return worker


def device_words() -> tuple[str, ...]:
    """`--set model.device=...` for the GPUs that Spark has given the task; nothing where it has given none.

    The one place that knows how a device is named. Best is one GPU an executor: a Python worker that is given another
    GPU than the task before has to load the model again.
    """
    context = TaskContext.get()
    gpus = context.resources().get("gpu") if context else None
    if gpus is None or not gpus.addresses:
        return ()
    names = [f"cuda:{address}" for address in gpus.addresses]
    return ("--set", f"model.device={names[0] if len(names) == 1 else json.dumps(names)}")


def asker(command: tuple[str, ...], metadata: dict[str, str]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: sends a task's batches through the kept worker."""

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from kept_worker(command + device_words()).answer(iter(batches), metadata)

    return ask


def split_scorer(command: tuple[str, ...], sent: Broadcast[bytes], num_tasks: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow over the numbers of tasks: each has its run of neighbouring splits, in order, and nothing in Spark moves."""
    ask = asker(command, {"vig_pipeline.mode": "score"})

    def splits_of(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = pa.ipc.open_stream(sent.value).read_all()
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                start, end = (table.num_rows * at // num_tasks for at in (number, number + 1))
                yield from table.slice(start, end - start).to_batches()

    return lambda numbers: ask(splits_of(numbers))
