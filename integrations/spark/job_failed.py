"""How a job ends that can't go on; exit codes as those of `pipeline run`."""

from __future__ import annotations

EXIT_DONE, EXIT_FAILED, EXIT_BAD_CONFIGURATION, EXIT_TOO_MANY_REJECTS, EXIT_LOCKED = 0, 1, 2, 3, 75


class JobFailed(RuntimeError):
    def __init__(self, message: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
