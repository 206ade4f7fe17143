"""Standard output and error as they may be: closed, on a full disk, left by their reader, or of an encoding
that lacks our characters."""

import codecs
import contextlib
import errno
import io
import os
import sys
from pathlib import Path
from typing import TextIO

from l0_surgical.system.errors import L0SurgicalError

_ERRORS = "l0_surgical.printable"


class OutputError(L0SurgicalError):
    """What was asked for could not be written to standard output; `error` says why, `kept` where it can be
    read all the same."""

    def __init__(self, error: OSError, kept: Path | None = None) -> None:
        self.error = error
        elsewhere = "" if kept is None else f"; the result is in {kept}"
        super().__init__(f"could not write to standard output: {error.strerror or error}{elsewhere}")


def prepare_streams() -> None:
    """Lets no file of ours take the descriptor of a closed stream, and every text be written, whatever the
    locale."""
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free
    sys.stdout, sys.stderr = sys.stdout or _Closed(), sys.stderr or _Nowhere()
    codecs.register_error(_ERRORS, _printable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


class _Closed(io.TextIOBase):
    """Standard output that was closed before this program began."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


class _Nowhere(io.TextIOBase):
    """Standard error that was."""

    def write(self, text: str) -> int:
        return len(text)


class Output(io.TextIOBase):
    """Standard output, each text at once.

    Raises:
        OutputError: it does not take it.
    """

    @property
    def encoding(self) -> str:
        return sys.stdout.encoding

    def write(self, text: str) -> int:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            _abandon(sys.stdout)
            raise OutputError(error) from error
        return len(text)

    def isatty(self) -> bool:
        return sys.stdout.isatty()


class Aside(io.TextIOBase):
    """Standard error for what helps a person along, which must not end the work: once nobody takes it, it
    goes nowhere."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            _abandon(self._stream)
        return len(text)

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return not self._stream.closed and self._stream.isatty()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _abandon(stream: TextIO) -> None:
    """Sends what `stream` still holds nowhere, so that neither a library's flush nor the interpreter's at its
    end fails again."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _printable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes that could not be decoded (of a file's name) as they were, other characters that the encoding
    lacks as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = ord(error.object[error.start])
    return bytes([character - 0xDC00]) if 0xDC80 <= character <= 0xDCFF else "?", error.start + 1
