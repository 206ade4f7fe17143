"""Ending a program by a signal, in order."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stop(threading.Event):
    """Set by SIGINT or SIGTERM while `on_signals` is entered; `signal_name` says by which. Main thread only."""

    def __init__(self) -> None:
        super().__init__()
        self.signal_name: str | None = None

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """A second signal of the same kind ends the process as it would without this."""

        def stop(number: int, frame: object) -> None:
            self.signal_name = signal.Signals(number).name
            self.set()
            signal.signal(number, former[number])

        former = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
