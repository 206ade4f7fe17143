"""Ending a program by a signal, in order."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 0.25
"""A signal that comes again so soon is the same one: `timeout` sends it to its child and to the group, a
closing terminal twice."""


class Stopped(KeyboardInterrupt):
    """A wait was given up because the process was asked to end."""


class Stop(threading.Event):
    """Set by the first SIGINT, SIGTERM or SIGHUP while `on_signals` is entered; `signal_name` says by which.
    A second one ends the process.

    Args:
        repeat_s: seconds within which a second signal of the same kind does not count.
    """

    def __init__(self, repeat_s: float = REPEAT_S) -> None:
        super().__init__()
        self.signal_name: str | None = None
        self._repeat_s = repeat_s
        self._first: tuple[int, float] | None = None
        self._raises = False

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listens; in another thread than the main one, which alone may, this does nothing. A SIGHUP that is
        ignored (nohup) stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [
            number
            for number in SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        former = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """For a wait that can be given up: the first signal raises `Stopped` inside at once, also one that
        came before."""
        before, self._raises = self._raises, True
        try:
            if self.is_set():
                raise Stopped
            yield
        finally:
            self._raises = before

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = number, now
            self.signal_name = signal.Signals(number).name
            self.set()
            if self._raises:
                raise Stopped
        elif number != self._first[0] or now - self._first[1] > self._repeat_s:
            for each in SIGNALS:  # a third one need not wait for the clean-up that the second has begun
                signal.signal(each, signal.SIG_DFL)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.raise_signal(number)
