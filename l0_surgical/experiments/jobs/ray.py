"""Attempts at cells as tasks of a Ray cluster.

A task does what the local engine does: it starts a process for the attempt on its node. Where the node sees
the suite's folder, the attempt works there; elsewhere in a temporary folder, and only its result comes back.
"""

import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from l0_surgical.experiments.jobs.worker import Attempt, Ended, Job
from l0_surgical.system.errors import BadInputError

_POLL_S = 0.1
_CONNECT_S = 5.0
_OBJECT_STORE_BYTES = 80 * 2**20  # about the least that Ray takes: results are small


class RayEngine:
    """Runs attempts on a cluster, as many at a time as it has CPUs. A context manager; leaving it
    disconnects.

    Args:
        address: the cluster's; None starts one on this machine, with `jobs` CPUs.
        token: the second line of the file `.lock` in the suite's folder, by which a node knows that it sees
            that folder.

    Raises:
        BadInputError: Ray is not installed, or the cluster cannot be joined.
    """

    def __init__(self, address: str | None, jobs: int, out: Path, token: str) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError as error:
            raise BadInputError(
                "the engine ray needs ray; install it: pip install '.[sweep]' in a clone"
            ) from error
        _check_address(address)
        self._ray, self._address, self._jobs = ray, address, jobs
        self._out, self._token = str(out), token
        self._running: dict[Any, tuple[str, float]] = {}  # task: cell, when it was started

    def __enter__(self) -> "RayEngine":
        started: dict[str, Any] = (
            {"num_cpus": self._jobs, "object_store_memory": _OBJECT_STORE_BYTES}
            if self._address is None
            else {}
        )
        try:
            self._ray.init(
                address=self._address or "local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                **started,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = self._address or "this machine"
            raise BadInputError(
                f"cannot use a Ray cluster at {where} ({error}); check it with `ray status`"
            ) from error
        self._task = self._ray.remote(num_cpus=1, max_retries=0)(_run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def room(self) -> int:
        """How many more attempts may be started now; one may always wait, as a cluster may grow."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0))) - len(self._running)

    def start(self, job: Job) -> None:
        """Submits an attempt."""
        self._running[self._task.remote(job, self._out, self._token)] = job.name, time.monotonic()

    def wait(self, timeout_s: float) -> list[Ended]:
        """The attempts that have ended since; waits for one, but no longer than the timeout."""
        tasks, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        return [self._collect(task, *self._running.pop(task)) for task in tasks]

    def interrupt(self) -> None:
        """Asks all attempts to save and end."""
        for task in self._running:
            self._ray.cancel(task, force=False)

    def _collect(self, task: Any, name: str, started: float) -> Ended:
        exceptions = self._ray.exceptions
        seconds = time.monotonic() - started
        try:
            return self._ray.get(task)
        except exceptions.TaskCancelledError:
            return Ended(name, "interrupted", "interrupted", seconds=seconds)
        except (
            exceptions.RayError
        ) as error:  # the node or Ray's process on it is gone, or the library is not installed there
            cause = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return Ended(name, "failed", cause, seconds=seconds)


def _check_address(address: str | None) -> None:
    """Ray itself tries for minutes to reach a cluster that is not there."""
    if address in (None, "auto"):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"no Ray cluster answers at {address} ({error}); give the HOST:PORT that `ray start --head` has "
            "printed"
        ) from error


def _run(job: Job, out: str, token: str) -> Ended:
    """The task: one attempt on this node."""
    with _folder(job, out, token) as folder:
        attempt = Attempt(replace(job, folder=folder))
        try:
            while not attempt.has_ended(_POLL_S):
                pass
        except KeyboardInterrupt:  # by ray.cancel
            attempt.interrupt()
            while not attempt.has_ended(_POLL_S):
                pass
        return attempt.collect()


@contextlib.contextmanager
def _folder(job: Job, out: str, token: str) -> Iterator[str]:
    try:
        shared = token in (Path(out) / ".lock").read_text(encoding="utf-8").split()
    except OSError:
        shared = False
    if shared:
        yield job.folder
    else:
        with tempfile.TemporaryDirectory(prefix="l0-surgical-cell-") as folder:
            yield folder
