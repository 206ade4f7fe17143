"""The worker's side of an attempt: `python -m l0_surgical.experiments.jobs.worker_main`, started by
`worker.Attempt`."""

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from l0_surgical import __version__
from l0_surgical.experiments.jobs.store import CellResult, canonical, write_result
from l0_surgical.experiments.jobs.worker import Job
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.locks import acquire
from l0_surgical.system.plugins import import_named_modules
from l0_surgical.system.process import age_s, follow_parent

GRACE_S = 300.0
_POLL_S = 0.05


def main() -> None:
    """Reads the job, works, says how it ended. SIGINT is let through only while the work runs."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # a shell's background jobs inherit that it is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = Job(**json.loads(sys.stdin.buffer.readline()))
    lifeline, reply = os.dup(0), os.dup(1)  # not inherited by the work's own processes
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the work prints goes to the log
    follow_parent(lifeline, signal.SIGINT, GRACE_S)
    end, cause = _attempt(job)
    with contextlib.suppress(BrokenPipeError):  # the suite is gone
        os.write(reply, json.dumps({"end": end, "cause": cause}).encode())


def resolve_work(dotted: str) -> Callable[[dict[str, Any], Path], dict[str, Any]]:
    """The function of a path "module:function".

    Raises:
        BadInputError: there is none.
    """
    module, _, function = dotted.partition(":")
    try:
        import_named_modules()
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(
            f"cannot find the work {dotted!r} ({error}); give module:function, importable in every worker"
        ) from error
    if not callable(found):
        raise BadInputError(f"the work {dotted!r} is no function; give module:function")
    return found


def _attempt(job: Job) -> tuple[str, str]:
    """How it ended, and by what cause where there is no result."""
    try:
        if job.version != __version__:
            raise BadInputError(
                f"{socket.gethostname()} has l0_surgical {__version__} and the suite {job.version}; install "
                "the same on every node"
            )
        with _folder_lock(Path(job.folder) / ".lock"):
            if job.result() is None:  # an attempt that was believed lost may have ended meanwhile
                _work(job)
        return "finished", ""
    except BadInputError as error:
        return "refused", str(error)
    except KeyboardInterrupt:
        return "interrupted", "interrupted"
    except BaseException as error:
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        if getattr(error, "exit_code", None) == 130:
            return "interrupted", str(error)
        return "failed", str(error) if isinstance(
            error, L0SurgicalError
        ) else f"{type(error).__name__}: {error}"


def _work(job: Job) -> None:
    folder, function = Path(job.folder), resolve_work(job.function)
    with _sigint_let_through():
        returned = function(job.specification, folder)
    try:
        data = json.loads(canonical(returned))
    except (TypeError, ValueError) as error:
        raise L0SurgicalError(
            f"the work's result is not JSON ({error}); return text, numbers that are finite, None, lists, "
            "dicts"
        ) from error
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    result = CellResult(
        name=job.name,
        specification=job.specification,
        result=data,
        seconds=job.seconds + age_s(),
        cpu_seconds=job.cpu_seconds + sum(usage.ru_utime + usage.ru_stime for usage in used),
        attempt=job.attempt,
        host=socket.gethostname(),
    )
    write_result(folder, result)


@contextlib.contextmanager
def _sigint_let_through() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _folder_lock(file: Path) -> Iterator[None]:
    """Waits until an attempt whose suite or node is gone has saved and ended, too."""
    while (lock := acquire(file)) is None:
        if signal.SIGINT in signal.sigpending():
            raise KeyboardInterrupt
        time.sleep(_POLL_S)
    with lock:
        yield


if __name__ == "__main__":
    main()
