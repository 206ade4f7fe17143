"""How a process hears signals: the first asks it to end, a second ends it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from l0_surgical.system.stopping import SIGNALS, Stop, Stopped

SCRIPT = """
import signal, sys, time
from l0_surgical.system.stopping import Stop
stop = Stop(repeat_s=1.0)
with stop.on_signals():
    print("ready", flush=True)
    while not stop.is_set():
        time.sleep(0.01)
    print(stop.signal_name, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_signal_is_heard_and_a_second_of_any_kind_ends_the_process(
    first: signal.Signals, second: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == f"{first.name}\n"
        if first == second:
            process.send_signal(second)  # as `timeout` and a closing terminal do: the same one again
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.0)
        process.send_signal(second)
        assert process.wait(10) == -second


def test_a_wait_is_given_up_at_once_and_later_ones_are_not_begun() -> None:
    stop, begun, before = Stop(), time.monotonic(), signal.getsignal(signal.SIGINT)
    with stop.on_signals():
        with pytest.raises(Stopped), stop.raising():
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP)).start()
            time.sleep(60)
        assert time.monotonic() - begun < 30
        assert stop.is_set() and stop.signal_name == "SIGHUP"
        with pytest.raises(Stopped), stop.raising():
            pytest.fail("not reached")
    assert signal.getsignal(signal.SIGINT) == before


def test_outside_of_a_wait_it_is_only_noted() -> None:
    stop = Stop()
    with stop.on_signals():
        with stop.raising():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)
    assert stop.signal_name == "SIGTERM"


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    stop, before = Stop(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop.on_signals(), stop.raising():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
            assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_listened_to() -> None:
    before, heard = signal.getsignal(signal.SIGTERM), []

    def listen() -> None:
        with Stop().on_signals():
            heard.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [before]
