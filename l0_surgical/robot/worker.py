"""A thread beside the main one, and calls into it: whatever belongs to the thread is touched by it alone, so
nothing needs a lock."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Any, TypeVar

from l0_surgical.system.errors import L0SurgicalError

T = TypeVar("T")

CALL_TIMEOUT_S = 1.0


class Worker:
    """A thread whose failure is kept for another one to raise; it starts at once.

    Args:
        name: the thread's.
        work: returns soon after the event it is given has been set.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], object]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what the work has raised."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Asks the work to return and waits until it has."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as error:
            self._failure = error


class Calls:
    """Calls that wait for the thread that owns what they touch."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    def run_waiting(self) -> None:
        """Makes the calls that have come since; by the owning thread. What a call raises goes to its
        caller."""
        while self._waiting:
            function, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except Exception as error:
                    future.set_exception(error)

    def call(self, function: Callable[[], T], timeout_s: float = CALL_TIMEOUT_S) -> T:
        """Returns what `function` returned, or raises what it raised, in the owning thread.

        Raises:
            L0SurgicalError: that thread has not come to it in time; the call is then never made.
        """
        future: Future[T] = Future()
        self._waiting.append((function, future))
        try:
            return future.result(timeout_s)
        except futures.TimeoutError:
            if future.cancel():
                raise L0SurgicalError(
                    f"the request was not taken for {timeout_s:g} s and is dropped; see the log"
                ) from None
            return future.result(timeout_s)
