"""Writing files so that a crash, a kill or a full disk never destroys the last good version."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from l0_surgical.system.errors import BadInputError, L0SurgicalError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(L0SurgicalError):
    """A file could not be written. The message says to run again; who goes on with something else says so,
    from the parts.

    Attributes:
        path: the file.
        what: what has failed, and that the file's former version is intact where there is one that was to be
            replaced.
        remedy: what to do about it.
    """

    def __init__(self, path: Path, error: OSError, kept: bool) -> None:
        self.path = path
        intact = "; the version saved before is intact" if kept else ""
        self.what = f"could not write {path}: {error.strerror or error}{intact}"
        self.remedy = "Free some space" if error.errno in _FULL else "Mend that"
        super().__init__(f"{self.what}. {self.remedy} and run again.")


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path` for writing and renames it over `path` once it is on the disk.

    If the body or the disk fails, `path` keeps its former content and the temporary file is removed. The
    file's permissions are those of any new file. A symbolic link is replaced by the file, as by git.

    Raises:
        BadInputError: see `file_to_write`.
        WriteError: the data could not be written (a full disk, a quota); the former file is intact.
    """
    path = file_to_write(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise WriteError(path, error, kept=path.exists()) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def file_to_write(path: str | Path) -> Path:
    """Creates the folder of `path` and checks that a file can be put there: a command's last step should not
    be its first refusal.

    Raises:
        BadInputError: a folder, a device or a pipe has that name, or the folder cannot be created or is not
        writable.
    """
    path = Path(path)
    make_folder(path.parent)
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            # renaming a file over it would remove it, even /dev/null
            raise BadInputError(
                f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'a device or a pipe'}; give the name of "
                "a file"
            )
    return path


def make_folder(folder: str | Path) -> Path:
    """Creates `folder` with its parents and checks that files can be written in it.

    Raises:
        BadInputError: it cannot be created or is not writable.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot create the folder {folder}: {error.strerror}; choose another one"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInputError(
            f"the folder {folder} is not writable; choose another one or change its permissions"
        )
    return folder


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[Path]:
    """`make_folder`, and if nothing is in it at the end, what was made is removed again, with the parents
    that were made for it."""
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield make_folder(folder)
    finally:
        for one in absent:
            with contextlib.suppress(OSError):  # it holds something, or was not made
                one.rmdir()


def check_new(*paths: Path, overwrite: bool) -> None:
    """Refuses, before the work, to replace files that a command would write.

    Raises:
        BadInputError: one of them exists and `overwrite` is False, or is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise BadInputError(f"{path} is a folder; give --out the name of a file")
        if path.exists() and not overwrite:
            raise BadInputError(f"{path} exists; choose another --out, or pass --overwrite to replace it")


class WatchedFile:
    """Tells whether a file is still the one that was there when this was made, by its inode, size and time of
    change."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._identity = self._look()

    def has_changed(self) -> bool:
        """True once it was replaced, changed or removed."""
        return self._look() != self._identity

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def number_name(number: float) -> str:
    """A number as a part of a name: short where six digits tell it exactly, else with all its digits, so that
    no two have one name."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))
