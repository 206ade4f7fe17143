"""A thread and the calls into it."""

import threading
from collections.abc import Iterator

import pytest

from l0_surgical.robot.worker import Calls, Worker
from l0_surgical.system.errors import BadInputError, L0SurgicalError


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Made by a thread that looks for them all the time."""
    calls = Calls()

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.001):
            calls.run_waiting()

    worker = Worker("owner", work)
    yield calls
    worker.stop()
    worker.check()


def test_a_call_is_made_by_the_owning_thread_and_answered(calls: Calls) -> None:
    assert calls.call(lambda: threading.current_thread().name) == "owner"


def test_what_a_call_raises_goes_to_its_caller_and_not_to_the_owner(calls: Calls) -> None:
    def refuse() -> None:
        raise BadInputError("no such goal")

    with pytest.raises(BadInputError, match="no such goal"):
        calls.call(refuse)
    assert calls.call(lambda: 3) == 3


def test_a_call_that_nobody_took_in_time_is_never_made() -> None:
    calls, made = Calls(), []
    with pytest.raises(L0SurgicalError, match=r"not taken for 0\.01 s and is dropped"):
        calls.call(lambda: made.append(1), timeout_s=0.01)
    calls.run_waiting()
    assert made == []


def test_the_failure_of_a_worker_is_raised_by_check() -> None:
    def work(stop: threading.Event) -> None:
        stop.wait()
        raise OSError("the disk is gone")

    worker = Worker("failing", work)
    worker.check()
    worker.stop()
    with pytest.raises(OSError, match="the disk is gone"):
        worker.check()
