"""The worker's side of an attempt: `python -m l0_surgical.experiments._attempt_main DESCRIPTOR`, started by
`_attempt.Attempt`."""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from l0_surgical import __version__
from l0_surgical.experiments._attempt import Ended, Job, ended_to_dict, resolve_work
from l0_surgical.experiments._cell_store import (
    RESULT,
    CellResult,
    CorruptedResult,
    canonical,
    read_result,
    write_result,
)
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.locks import acquire
from l0_surgical.system.process import age_s, follow_parent

GRACE_S = 300.0
_POLL_S = 0.05


def main() -> None:
    """Reads the job, works, writes the reply. SIGINT is let through only while the work runs."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs inherit that it is ignored
    lifeline = os.dup(0)  # not inherited by the work's own processes
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    follow_parent(lifeline, signal.SIGINT, GRACE_S)
    with os.fdopen(int(sys.argv[1]), "r+b") as exchange:
        exchange.seek(0)
        job = Job(**json.load(exchange))
        reply = json.dumps(ended_to_dict(_attempt(job))).encode()
        exchange.seek(0)
        exchange.truncate()
        exchange.write(reply)


def _attempt(job: Job) -> Ended:
    try:
        if job.version != __version__:
            raise BadInputError(
                f"{socket.gethostname()} has l0_surgical {__version__} and the suite {job.version}; install "
                "the same on every node"
            )
        with _folder_lock(Path(job.folder) / ".lock"):
            return Ended(job.name, "finished", result=_earlier_result(job) or _work(job))
    except BadInputError as error:
        return Ended(job.name, "refused", str(error))
    except KeyboardInterrupt:
        return Ended(job.name, "interrupted", "interrupted")
    except BaseException as error:
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        if getattr(error, "exit_code", None) == 130:
            return Ended(job.name, "interrupted", str(error))
        return Ended(
            job.name,
            "failed",
            str(error) if isinstance(error, L0SurgicalError) else f"{type(error).__name__}: {error}",
        )


def _earlier_result(job: Job) -> CellResult | None:
    """The result of an attempt that was believed lost and has ended meanwhile."""
    try:
        result = read_result(Path(job.folder) / RESULT, job.name)
    except CorruptedResult:
        return None
    return (
        result
        if result is not None and canonical(result.specification) == canonical(job.specification)
        else None
    )


def _work(job: Job) -> CellResult:
    folder = Path(job.folder)
    function = resolve_work(job.work)
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
    return result


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
