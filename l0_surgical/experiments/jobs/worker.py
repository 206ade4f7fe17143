"""Attempts at cells, each in a process of its own, so that a crash costs this attempt and nothing else."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from l0_surgical.experiments.jobs.store import RESULT, CellResult, CorruptedResult, canonical, read_result
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.system.files import make_folder
from l0_surgical.system.process import THREADS

LOG = "worker.log"


@dataclass(frozen=True)
class Job:
    """What a worker needs to know.

    Attributes:
        function: the work, "module:function".
        attempt: 1 for the first.
        seconds, cpu_seconds: of the attempts before.
        path: where the suite's process finds its modules; a worker looks there after its own places.
        version: the suite's; a worker of another one refuses.
    """

    name: str
    function: str
    specification: dict[str, Any]
    folder: str
    attempt: int
    seconds: float
    cpu_seconds: float
    path: list[str]
    version: str

    def result(self) -> CellResult | None:
        """What the cell's folder holds for this job."""
        try:
            found = read_result(Path(self.folder) / RESULT, self.name)
        except CorruptedResult:
            return None
        is_ours = found is not None and canonical(found.specification) == canonical(self.specification)
        return found if is_ours else None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. `refused`: by bad input, so that another attempt would be no better. Only
    `finished` has a result."""

    name: str
    end: Literal["finished", "failed", "refused", "interrupted"]
    cause: str = ""
    result: CellResult | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Attempt:
    """A running attempt: the job goes in by the worker's stdin, how it ended comes back by its stdout, and
    its result lies in the cell's folder.

    The worker is asked to end by SIGINT, by which a training saves its checkpoint. It does so too when this
    process is gone, which it sees by the end of its stdin.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._started = time.monotonic()
        self._log = make_folder(job.folder) / LOG
        path = os.pathsep.join(dict.fromkeys([*module_path(), *job.path]))
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "l0_surgical.experiments.jobs.worker_main"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path},
                    # the terminal's Ctrl-C reaches only this process, which passes it on once
                    start_new_session=True,
                )
        except OSError as error:
            raise L0SurgicalError(
                f"could not start a worker in {job.folder}: {error}; free some space or memory and go on"
            ) from error
        self.descriptor = os.pidfd_open(self._process.pid)
        with contextlib.suppress(BrokenPipeError):  # it has died at once
            self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            self._process.stdin.flush()

    def interrupt(self) -> None:
        """Asks the worker to save and end."""
        signal.pidfd_send_signal(self.descriptor, signal.SIGINT)

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """True once the worker is gone; waits for that, but no longer than the timeout."""
        return bool(select.select([self.descriptor], [], [], timeout_s)[0])

    def kill(self) -> None:
        """Ends the worker and its children at once, if they have not yet ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def collect(self) -> Ended:
        """How the attempt ended. Call once, when it has."""
        # what the worker may have left running; it is not reaped yet, so the number is still its own
        self.kill()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.descriptor)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with self._process.stdout as stream:
            os.set_blocking(stream.fileno(), False)  # something that has left the group may still hold it
            reply = stream.read() or b""
        if (result := self.job.result()) is not None:
            ended = Ended(self.job.name, "finished", result=result)
        else:
            ended = _parsed(self.job.name, reply) or Ended(self.job.name, "failed", self._death())
        spent = usage.ru_utime + usage.ru_stime
        return replace(ended, seconds=time.monotonic() - self._started, cpu_seconds=spent)

    def _death(self) -> str:
        code = self._process.returncode
        if code >= 0:
            return f"the worker ended with exit code {code} and no result; see {self._log}"
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the worker was killed by {signal.Signals(-code).name}{memory}; see {self._log}"


class LocalEngine:
    """Runs up to `jobs` attempts at a time on this machine. A context manager; leaving it kills what still
    runs."""

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
        select.select([attempt.descriptor for attempt in self._running], [], [], timeout_s)
        ended = [attempt for attempt in self._running if attempt.has_ended()]
        self._running = [attempt for attempt in self._running if attempt not in ended]
        return [attempt.collect() for attempt in ended]

    def interrupt(self) -> None:
        """Asks all running attempts to save and end."""
        for attempt in self._running:
            attempt.interrupt()


def module_path() -> list[str]:
    """Where this process finds modules, as absolute folders."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def _parsed(name: str, reply: bytes) -> Ended | None:
    try:
        return Ended(name, **json.loads(reply))
    except (ValueError, TypeError):  # cut short, or nothing
        return None
