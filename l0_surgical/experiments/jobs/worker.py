"""Attempts at cells, each in a process of its own, so that a crash costs this attempt and nothing else."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
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

    end: Literal["finished", "failed", "refused", "interrupted"]
    cause: str = ""
    result: CellResult | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class ProcessPool:
    """Up to `jobs` attempts at a time on this machine, each in a process of its own. A context manager;
    leaving it kills what still runs.

    The job goes in by the worker's stdin, how it ended comes back by its stdout, and its result lies in the
    cell's folder. The worker is asked to end by SIGINT, by which a training saves its checkpoint. It does so
    too when this process is gone, which it sees by the end of its stdin.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs, self._threads = jobs, ThreadPoolExecutor(jobs)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_stopped = False
        self._lock = threading.Lock()  # who is in `_running` is not reaped yet: its number is still its own

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                _kill(process)
        self._threads.shutdown()

    def room(self, running: int) -> int:
        """How many more attempts may be submitted while so many run."""
        return self._jobs - running

    def submit(self, job: Job) -> "Future[Ended]":
        """Starts an attempt."""
        return self._threads.submit(self._attempt, job)

    def interrupt(self) -> None:
        """Asks all running attempts to save and end."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                os.kill(process.pid, signal.SIGINT)

    def _attempt(self, job: Job) -> Ended:
        started, log = time.monotonic(), make_folder(job.folder) / LOG
        with self._lock:
            if self._is_stopped:
                return Ended("interrupted", "interrupted")
            process = _start(job, log)
            self._running.add(process)
        with contextlib.suppress(BrokenPipeError):  # it has died at once
            process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            process.stdin.flush()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._running.remove(process)
            _kill(process)  # what the worker may have left running
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        with process.stdout as stream:
            os.set_blocking(stream.fileno(), False)  # something that has left the group may still hold it
            reply = stream.read() or b""
        if (result := job.result()) is not None:
            ended = Ended("finished", result=result)
        else:
            ended = _parsed(reply) or Ended("failed", _death(process.returncode, log))
        spent = usage.ru_utime + usage.ru_stime
        return replace(ended, seconds=time.monotonic() - started, cpu_seconds=spent)


def module_path() -> list[str]:
    """Where this process finds modules, as absolute folders."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def _start(job: Job, log: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(dict.fromkeys([*module_path(), *job.path]))
    try:
        with log.open("ab") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "l0_surgical.experiments.jobs.worker_main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path},
                # the terminal's Ctrl-C reaches only this process, which passes it on once
                start_new_session=True,
            )
    except OSError as error:
        raise L0SurgicalError(
            f"could not start a worker in {job.folder}: {error}; free some space or memory and go on"
        ) from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a worker and its children at once, if they have not yet ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _parsed(reply: bytes) -> Ended | None:
    try:
        return Ended(**json.loads(reply))
    except (ValueError, TypeError):  # cut short, or nothing
        return None


def _death(code: int, log: Path) -> str:
    if code >= 0:
        return f"the worker ended with exit code {code} and no result; see {log}"
    memory = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"the worker was killed by {signal.Signals(-code).name}{memory}; see {log}"
