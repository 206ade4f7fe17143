"""Silence for libraries that print from C or while they are imported."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Sends what the body prints to nowhere, including what C code writes to file descriptors 1 and 2;
    exceptions still pass."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever writes to it is told
            stream.flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            for descriptor, _ in kept:
                os.dup2(nowhere.fileno(), descriptor)
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
