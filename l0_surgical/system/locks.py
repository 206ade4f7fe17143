"""One process at a time in a place: a lock that the kernel takes back when its process ends, however it
ends."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import TextIO

from l0_surgical.system.errors import BadInputError, L0SurgicalError


class WorkLock:
    """A lock file, held while entered and removed on leaving; its first line says who holds it. A context
    manager.

    `flock` locks also exclude other computers on NFS (where Linux turns them into the server's byte-range
    locks) and on most cluster file systems. One that knows no locks at all refuses them: there this excludes
    nobody, as nothing could.

    Args:
        file: the lock file; its folder exists.
        work: what is done under it, for the message: training.
        place: where, for the message.
        remedy: for the message, beside waiting.
        note: a second line of the file.

    Raises:
        BadInputError: another process holds it.
        L0SurgicalError: the file cannot be opened.
    """

    def __init__(
        self, file: Path, work: str, place: Path, remedy: str = "choose another --out", note: str = ""
    ) -> None:
        self.file, self._message, self._remedy, self._note = file, (work, place), remedy, note

    def __enter__(self) -> "WorkLock":
        self._stream = acquire(self.file)
        if self._stream is None:
            (work, place), holder = self._message, self._holder()
            raise BadInputError(
                f"another {work} ({holder}) works in {place}; wait for its end or {self._remedy}"
            )
        with contextlib.suppress(OSError):  # a full disk: held all the same
            self._stream.truncate(0)
            self._stream.write(f"process {os.getpid()} on {socket.gethostname()}\n{self._note}\n")
            self._stream.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.file.unlink()  # before it is let go: nobody else can hold it yet
        with contextlib.suppress(OSError):
            self._stream.close()

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return self.file.read_text(encoding="utf-8").partition("\n")[0] or "which has just begun"
        return "which has just ended"


def acquire(file: Path) -> TextIO | None:
    """Opens and locks a lock file; None where another process holds it. Closing the stream lets it go.

    Raises:
        L0SurgicalError: the file cannot be opened.
    """
    while True:
        try:
            stream = file.open("a", encoding="utf-8")
        except OSError as error:
            raise L0SurgicalError(f"cannot open {file}: {error.strerror}") from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return None
        except OSError:  # a file system without locks
            return stream
        if _is_same(stream, file):
            return stream
        stream.close()  # its holder has removed it since it was opened


def _is_same(stream: TextIO, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    except FileNotFoundError:
        return False
