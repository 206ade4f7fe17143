"""Lines for a person on stderr that never keep the speaker waiting: a reader that takes nothing must not stop
a servo loop."""

import contextlib
import os
import select
import sys
import threading

_AT_ONCE = select.PIPE_BUF  # what a pipe that is ready takes without a wait
_KEPT = 64 * 1024

_lock = threading.Lock()
_waiting = bytearray()


def say(text: str) -> None:
    """Writes a line as soon as stderr takes it: now, or with one of the next ones. Any thread may speak."""
    write(f"{text}\n")


def write(text: str) -> None:
    """As `say`, without an end of the line. What has no room any more, and what a broken stderr does not
    take, is left out."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        # no file: somebody in this process listens
        stream.write(text)
        return
    with _lock:
        if len(_waiting) + len(text) <= _KEPT:
            _waiting.extend(text.encode(stream.encoding, "backslashreplace"))
        # not through the stream, whose buffer would keep what is not taken, and be locked meanwhile
        with contextlib.suppress(OSError):
            while _waiting and _is_ready(descriptor):
                del _waiting[: os.write(descriptor, _waiting[:_AT_ONCE])]


def _is_ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
