"""The folder of a suite: which cells it has, their results, and the lock that keeps it to one suite.

suite.json                   format, work and the names of all cells
cells/<name>/result.json     what the cell's work returned, with a checksum; such a cell is never run again
cells/<name>/attempts.json   the attempts that ended without a result, and what they cost
cells/<name>/worker.log      what the work printed; everything else in there is the work's own
"""

import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from l0_surgical import __version__
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, make_folder
from l0_surgical.system.locks import WorkLock

FORMAT = 1
RESULT = "result.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,127}")
_REMEDY = "choose another --out"


@dataclass(frozen=True)
class Work:
    """What is done with each cell of a suite.

    Attributes:
        name: the kind of work, as suite.json keeps it.
        function: where it is, "module:function".
        former: other names by which older folders know it.
    """

    name: str
    function: str
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One unit of work: a name that is unique and can be a folder's, and the JSON that its work is called
    with."""

    name: str
    specification: dict[str, Any]


@dataclass(frozen=True)
class CellResult:
    """What a cell's work returned. The seconds are those of all attempts, from process start to end;
    `attempt` counts from 1."""

    name: str
    specification: dict[str, Any]
    result: dict[str, Any]
    seconds: float
    cpu_seconds: float
    attempt: int
    host: str
    version: str = __version__


class CorruptedResult(Exception):
    """A result.json that is no longer what was written."""


def canonical(data: Any) -> str:
    """The one way to write `data` as JSON.

    Raises:
        ValueError, TypeError: it is not JSON (which has no NaN and no infinity).
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_result(file: Path, name: str) -> CellResult | None:
    """The result in `file`, None if there is no file.

    Raises:
        CorruptedResult: it cannot be read, or its checksum is wrong.
        BadInputError: it has another format.
    """
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CorruptedResult(f"{RESULT} could not be read ({error})") from error
    found = data.pop("format", None) if isinstance(data, dict) else None
    if not isinstance(found, int):
        raise CorruptedResult(f"{RESULT} had no format number")
    if found != FORMAT:
        raise BadInputError(
            f"the result of cell {name} in {file.parent} has format {found} and this version knows "
            f"{FORMAT}; {_REMEDY}"
        )
    try:
        if data.pop("sha256") != _checksum(data["specification"], data["result"]):
            raise CorruptedResult(f"{RESULT} had a wrong checksum")
        return CellResult(version=data.pop("l0_surgical"), **data)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptedResult(f"{RESULT} lacked a part ({error})") from error


def write_result(folder: Path, result: CellResult) -> None:
    """Writes result.json of the cell whose folder is given."""
    data = asdict(result)
    head = {"format": FORMAT, "l0_surgical": data.pop("version")}
    _write_json(folder / RESULT, {**head, **data, "sha256": _checksum(result.specification, result.result)})


def check_cells(cells: Sequence[Cell]) -> None:
    """Raises BadInputError for no cells, a name that cannot be a folder's, what is not JSON, and
    duplicates."""
    if not cells:
        raise BadInputError("there are no cells to run; give at least one")
    for cell in cells:
        if not _NAME.fullmatch(cell.name):
            raise BadInputError(
                f"the cell name {cell.name!r} cannot be a folder's; use up to 128 of A-Z a-z 0-9 . _ + = -"
            )
        try:
            if json.loads(canonical(cell.specification)) != cell.specification:
                raise ValueError("tuples or keys that are not text")
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"the specification of cell {cell.name} is not JSON ({error}); use text, numbers, lists and "
                "dicts"
            ) from error
    twice = [name for name, count in Counter(cell.name for cell in cells).items() if count > 1]
    if twice:
        raise BadInputError(f"the cell names {', '.join(twice)} are given more than once; give each once")
    first: dict[str, str] = {}
    for cell in cells:
        other = first.setdefault(canonical(cell.specification), cell.name)
        if other != cell.name:
            raise BadInputError(
                f"the cells {other} and {cell.name} have the same specification; leave one out"
            )


class Store:
    """The folder of one suite, locked while entered. A context manager.

    Raises:
        BadInputError: the folder cannot be written, or another suite works in it.
    """

    def __init__(self, out: Path) -> None:
        self.out = make_folder(out).resolve()
        self.token = uuid.uuid4().hex
        self._lock = WorkLock(self.out / ".lock", "suite", self.out, note=self.token)

    def __enter__(self) -> "Store":
        self._lock.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def folder(self, name: str) -> Path:
        """The cell's own folder."""
        return self.out / "cells" / name

    def open_suite(
        self, work: Work, cells: Sequence[Cell]
    ) -> tuple[dict[str, CellResult], list[tuple[str, str]]]:
        """Checks that the folder is empty or of the same suite; returns the results that it holds, and the
        corrupted ones (put aside).

        Raises:
            BadInputError: it holds something else; nothing was changed.
        """
        self._check_suite(work, {cell.name for cell in cells})
        found, corrupted = {}, []
        for cell in cells:
            try:
                result = read_result(self.folder(cell.name) / RESULT, cell.name)
            except CorruptedResult as error:
                corrupted.append((cell.name, str(error)))
                continue
            if result is not None:
                self._check_specification(cell, result)
                found[cell.name] = result
        others = {result.version for result in found.values()} - {__version__}
        if others and len(found) < len(cells):
            raise BadInputError(
                f"{self.out} holds results of l0_surgical {', '.join(sorted(others))} and this is "
                f"{__version__}, which never go on together; finish with that version or {_REMEDY}"
            )
        for name, _ in corrupted:
            _put_aside(self.folder(name) / RESULT)
        if not (self.out / "suite.json").exists():
            head = {"format": FORMAT, "l0_surgical": __version__, "work": work.name}
            _write_json(self.out / "suite.json", {**head, "cells": [cell.name for cell in cells]})
        return found, corrupted

    def finished(self, name: str) -> CellResult | None:
        """The cell's result if it has a sound one."""
        try:
            return read_result(self.folder(name) / RESULT, name)
        except CorruptedResult:
            return None

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """The cell's attempts that ended without a result: cause, seconds and cpu_seconds of each."""
        try:
            return json.loads((self.folder(name) / "attempts.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return []

    def add_attempt(self, name: str, cause: str, seconds: float, cpu_seconds: float) -> None:
        """Records an attempt that ended without a result."""
        attempt = {"cause": cause, "seconds": seconds, "cpu_seconds": cpu_seconds}
        _write_json(self.folder(name) / "attempts.json", [*self.attempts(name), attempt])

    def _check_suite(self, work: Work, here: set[str]) -> None:
        file, there = self.out / "suite.json", here
        if file.exists():
            try:
                found = json.loads(file.read_bytes())
                form, kind, there = found["format"], found["work"], set(found["cells"])
            except (OSError, ValueError, KeyError, TypeError):
                raise BadInputError(
                    f"{file} is damaged; delete it to go on with the cells of the folder, or {_REMEDY}"
                ) from None
            if form != FORMAT:
                raise BadInputError(f"{file} has format {form} and this version knows {FORMAT}; {_REMEDY}")
            if kind not in (work.name, *work.former):
                raise BadInputError(
                    f"{self.out} holds a suite of {kind} and this one is of {work.name}; {_REMEDY}"
                )
        elif (self.out / "cells").is_dir():
            there = here | {path.name for path in (self.out / "cells").iterdir()}
        if there != here:
            name = min(there ^ here)
            where = "is not of this suite" if name in there else "is not of the suite in that folder"
            raise BadInputError(f"{self.out} holds another suite: cell {name} {where}; {_REMEDY}")

    def _check_specification(self, cell: Cell, found: CellResult) -> None:
        here, there = {"cell": cell.name, **cell.specification}, {"cell": found.name, **found.specification}
        for key in sorted(here.keys() | there.keys()):
            ours, theirs = (canonical(data[key]) if key in data else "absent" for data in (here, there))
            if ours != theirs:
                raise BadInputError(
                    f"{self.out} holds another suite: in cell {cell.name} {key} is {theirs} there and {ours} "
                    f"here; {_REMEDY}"
                )


def _checksum(specification: Any, result: Any) -> str:
    return hashlib.sha256(canonical({"specification": specification, "result": result}).encode()).hexdigest()


def _write_json(file: Path, data: Any) -> None:
    with atomic_write(file) as stream:
        stream.write((json.dumps(data, indent=2) + "\n").encode())


def _put_aside(file: Path) -> None:
    number = 1
    while (aside := file.with_name(f"{file.name}.corrupt-{number}")).exists():
        number += 1
    file.rename(aside)
