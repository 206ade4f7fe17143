"""Attempts at cells as processes of this machine."""

import select
from types import TracebackType

from l0_surgical.experiments._attempt import Attempt, Ended, Job


class LocalEngine:
    """Runs up to `jobs` attempts at a time. A context manager; leaving it kills what still runs."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._running: list[Attempt] = []

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for attempt in self._running:
            attempt.kill()
            attempt.collect()

    def room(self) -> int:
        """How many more attempts may be started now."""
        return self._jobs - len(self._running)

    def start(self, job: Job) -> None:
        """Starts an attempt."""
        self._running.append(Attempt(job))

    def wait(self, timeout_s: float) -> list[Ended]:
        """The attempts that have ended since; waits for one, but no longer than the timeout."""
        select.select([attempt.ended_descriptor for attempt in self._running], [], [], timeout_s)
        ended = [attempt for attempt in self._running if attempt.has_ended()]
        self._running = [attempt for attempt in self._running if attempt not in ended]
        return [attempt.collect() for attempt in ended]

    def interrupt(self) -> None:
        """Asks all running attempts to save and end."""
        for attempt in self._running:
            attempt.interrupt()
