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
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from l0_surgical.experiments.jobs.worker import Ended, Job, ProcessPool
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
        self._running: dict[Future[Ended], Any] = {}  # the task of each

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

    def room(self, running: int) -> int:
        """How many more attempts may be submitted while so many run; one may always wait, as a cluster may
        grow."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0))) - running

    def submit(self, job: Job) -> "Future[Ended]":
        """Submits an attempt."""
        task, started, ended = self._task.remote(job, self._out, self._token), time.monotonic(), Future()
        self._running[ended] = task
        ended.add_done_callback(self._running.pop)
        task.future().add_done_callback(lambda done: self._collect(done, ended, started))
        return ended

    def interrupt(self) -> None:
        """Asks all attempts to save and end."""
        for task in list(self._running.values()):
            self._ray.cancel(task, force=False)

    def _collect(self, done: "Future[Ended]", ended: "Future[Ended]", started: float) -> None:
        try:
            ended.set_result(done.result())
        except self._ray.exceptions.TaskCancelledError:
            ended.set_result(Ended("interrupted", "interrupted", seconds=time.monotonic() - started))
        # the node or Ray's process on it is gone, or the library is not installed there
        except self._ray.exceptions.RayError as error:
            cause = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            ended.set_result(Ended("failed", cause, seconds=time.monotonic() - started))


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
    with _folder(job, out, token) as folder, ProcessPool(1) as pool:
        ended = pool.submit(replace(job, folder=folder))
        try:
            while not wait([ended], _POLL_S).done:
                pass
        except KeyboardInterrupt:  # by ray.cancel
            pool.interrupt()
        return ended.result()


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
