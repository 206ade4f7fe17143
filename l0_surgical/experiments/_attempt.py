"""One attempt at a cell, in a process of its own: a crash costs this attempt and nothing else."""

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from l0_surgical.experiments._cell_store import CellResult
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import make_folder
from l0_surgical.system.process import THREADS

LOG = "worker.log"
Work = Callable[[dict[str, Any], Path], dict[str, Any]]
End = Literal["finished", "failed", "refused", "interrupted"]


@dataclass(frozen=True)
class Job:
    """What a worker needs to know.

    Attributes:
        attempt: 1 for the first.
        seconds, cpu_seconds: of the attempts before.
        path: where the suite's process finds its modules; a worker looks there after its own places.
        version: the suite's; a worker of another one refuses.
    """

    name: str
    work: str
    specification: dict[str, Any]
    folder: str
    attempt: int
    seconds: float
    cpu_seconds: float
    path: list[str]
    version: str


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. `refused`: by bad input, so that another attempt would be no better. Only
    `finished` has a result."""

    name: str
    end: End
    cause: str = ""
    result: CellResult | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Engine(Protocol):
    """Where attempts run. A context manager; leaving it ends what still runs."""

    def room(self) -> int:
        """How many more attempts may be started now."""

    def start(self, job: Job) -> None:
        """Starts an attempt."""

    def wait(self, timeout_s: float) -> list[Ended]:
        """The attempts that have ended since; waits for one, but no longer than the timeout."""

    def interrupt(self) -> None:
        """Asks all running attempts to save and end."""


class Attempt:
    """A running attempt.

    The worker is asked to end by SIGINT, by which a training saves its checkpoint. It does so too when this
    process is gone.
    """

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self._started = time.monotonic()
        self._exchange = os.fdopen(
            os.memfd_create(job.name), "r+b"
        )  # the job on the way there, the reply on the way back
        self._exchange.write(json.dumps(asdict(job)).encode())
        self._exchange.flush()
        self._log = make_folder(job.folder) / LOG
        try:
            self._process = self._start([*module_path(), *job.path])
        except OSError as error:
            raise L0SurgicalError(
                f"could not start a worker in {job.folder}: {error}; free some space or memory and go on"
            ) from error
        self.ended_descriptor = os.pidfd_open(self._process.pid)

    def _start(self, path: Sequence[str]) -> subprocess.Popen[bytes]:
        descriptor = self._exchange.fileno()
        environment = {
            **os.environ,
            **dict.fromkeys(THREADS, "1"),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        }
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "l0_surgical.experiments._attempt_main", str(descriptor)],
                stdin=subprocess.PIPE,  # never written: its end tells the worker that this process is gone
                stdout=log,
                stderr=log,
                pass_fds=[descriptor],
                env=environment,
                # the terminal's Ctrl-C reaches only this process, which passes it on once
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Asks the worker to save and end."""
        signal.pidfd_send_signal(self.ended_descriptor, signal.SIGINT)

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """True once the worker is gone; waits for that, but no longer than the timeout."""
        return bool(select.select([self.ended_descriptor], [], [], timeout_s)[0])

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
        os.close(self.ended_descriptor)
        self._process.stdin.close()
        with self._exchange as file:
            file.seek(0)
            reply = _parse(file.read())
        if reply is None:
            reply = Ended(self.name, "failed", _death(self._process.returncode, self._log))
        return Ended(
            self.name,
            reply.end,
            reply.cause,
            reply.result,
            time.monotonic() - self._started,
            usage.ru_utime + usage.ru_stime,
        )


def module_path() -> list[str]:
    """Where this process finds modules, as absolute folders."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def resolve_work(dotted: str) -> Work:
    """The function of a path "module:function".

    Raises:
        BadInputError: there is none.
    """
    module, _, function = dotted.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(
            f"cannot find the work {dotted!r} ({error}); give module:function, importable in every worker"
        ) from error
    if not callable(found):
        raise BadInputError(f"the work {dotted!r} is no function; give module:function")
    return found


def ended_to_dict(ended: Ended) -> dict[str, Any]:
    """As plain data, for JSON or for another machine."""
    return asdict(ended)


def ended_from_dict(data: dict[str, Any]) -> Ended:
    """The inverse of `ended_to_dict`."""
    return Ended(**{**data, "result": data["result"] and CellResult(**data["result"])})


def _parse(reply: bytes) -> Ended | None:
    try:
        return ended_from_dict(json.loads(reply))
    except (ValueError, KeyError, TypeError):  # cut short, or still the job
        return None


def _death(code: int, log: Path) -> str:
    if code >= 0:
        return f"the worker ended with exit code {code} and no result; see {log}"
    return (
        "the worker was killed by "
        f"{signal.Signals(-code).name}{' (out of memory?)' if code == -signal.SIGKILL else ''}; see {log}"
    )
