"""The `pipeline` command as the driver uses it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator


class CommandFailed(RuntimeError):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PipelineCommand:
    def __init__(self, program: str, config: str, overrides: list[str]) -> None:
        # A clone's bin is a script; an installed package's may be one of its own.
        self._program = ("node", program) if program.endswith(".js") else (program,)
        self._config = config
        self._overrides = tuple(word for override in overrides for word in ("--set", override))

    def worker(self, num_threads: int) -> tuple[str, ...]:
        """One inference process with as many threads as a task has cores."""
        resources = ("--set", "resources.num_workers=1", "--set", "resources.num_lanes=1", "--set", f"resources.num_threads={num_threads}")
        return self._words("worker", "--stdio", "--log-format", "json", "--quiet", *resources)

    def describe(self) -> dict:
        return json.loads(self._output("worker", "--describe"))

    def splits(self) -> Iterator[dict]:
        return map(json.loads, self._output("splits").splitlines())

    def _output(self, verb: str, *more: str) -> str:
        done = subprocess.run(self._words(verb, *more), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandFailed(done.stderr.rstrip(), done.returncode)
        return done.stdout

    def _words(self, verb: str, *more: str) -> tuple[str, ...]:
        return (*self._program, verb, self._config, *more, *self._overrides)
