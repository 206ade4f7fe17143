"""Suites of the cells in `cell_works`, and what their workers have logged."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from l0_surgical.experiments.jobs import Cell, Outcome, Work

WORK = Work("squares", "cell_works:work")
DRIVER = """
import sys
from pathlib import Path
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.experiments.jobs import run_cells
from suites import WORK, make_cells
try:
    cells = make_cells(Path(sys.argv[1]), *[sys.argv[3]] * int(sys.argv[5]), steps=int(sys.argv[4]))
    run_cells(cells, WORK, Path(sys.argv[1]) / "out", engine=sys.argv[2], jobs=2, retries=0)
except L0SurgicalError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def make_cells(folder: Path, *do: str | int, **more: Any) -> list[Cell]:
    """One cell for each thing to do, or that many ordinary ones; their log is in `folder`."""
    kinds = do if isinstance(do[0], str) else [""] * do[0]
    return [
        Cell(f"cell-{number}", {"number": number, "do": kind, "log": str(folder / "log"), **more})
        for number, kind in enumerate(kinds)
    ]


def log_counts(folder: Path) -> Counter[str]:
    """How often each cell has started and ended, from the log that the workers share."""
    return Counter((folder / "log").read_text().splitlines())


def start_driver(
    folder: Path, engine: str = "local", steps: int = 12, do: str = "", cells: int = 3
) -> subprocess.Popen[str]:
    """A suite, two cells at a time, in a process group of its own; returns once two are at work.

    Its own processes ("local") do not end their work before `release`, however long a test takes; Ray's count
    to `steps`.
    """
    if engine == "local":
        (folder / "held").touch()
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), engine, do, str(steps), str(cells)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: (folder / "log").exists() and log_counts(folder).total() >= 2)
    return driver


def release(folder: Path) -> None:
    """Lets the work of a suite that `start_driver` has started come to its end."""
    (folder / "held").unlink()


def has_counted(folder: Path, number: int, steps: int) -> bool:
    """Whether the work of a cell has done so many steps."""
    counted = folder / "out" / "cells" / f"cell-{number}" / "counted"
    return counted.exists() and counted.stat().st_size >= steps


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Waits until the condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def squares(outcome: Outcome) -> list[int]:
    """The results of the ordinary work."""
    return [result.result["square"] for result in outcome.finished]
