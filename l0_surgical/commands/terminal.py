"""What a person sees in the terminal: progress on stderr, tables on stdout."""

import contextlib
import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from l0_surgical.commands.speaking import write

try:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Table
except ImportError:
    # a robot's computer with the core install alone: only `inspect` runs there
    from l0_surgical.commands.plain_table import Console, Table

from l0_surgical.commands.streams import Aside, Output, OutputError

__all__ = ["ProgressBar", "StatusLine", "Table", "bounds", "interval", "percent", "print_result"]

_LOG_EVERY_S = 15.0
_STATUS_EVERY_S = 0.2
_WIDTH_OF_A_FILE = 140


class ProgressBar:
    """`bar(text, done, total)` shows a bar with rate and remaining time; where stderr is no terminal, a line
    now and then.

    While it is shown, what anything else prints, such as an environment, goes to stderr: stdout is for the
    result. Once nobody takes it, nothing is shown.
    """

    def __enter__(self) -> "ProgressBar":
        self._apart = contextlib.ExitStack()
        self._apart.enter_context(_stdout_to_stderr())
        self._console = Console(file=Aside())
        self._is_terminal = self._console.is_terminal
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._logged = 0.0
        if self._is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal:
            self._progress.stop()
        self._apart.close()

    def __call__(self, text: str, done: int, total: int) -> None:
        """Shows `done` of `total` units of `text`; a total of 0 means that nobody knows it."""
        now = time.monotonic()
        start, first = self._started.setdefault(text, (now, done))
        rate = f"{(done - first) / (now - start):.2f}/s" if now > start else ""
        if self._is_terminal:
            if text not in self._tasks:
                self._tasks[text] = self._progress.add_task(text, total=total or None, rate="")
            self._progress.update(self._tasks[text], completed=done, rate=rate)
        elif 0 < total <= done or now - self._logged > _LOG_EVERY_S:
            self._logged = now
            left = (
                f", {(total - done) * (now - start) / (done - first):.0f} s left"
                if first < done < total
                else ""
            )
            self._console.print(f"{text}: {done}{f'/{total}' if total else ''} {rate}{left}", highlight=False)


class StatusLine:
    """Shows `text()` again and again on stderr, in a thread: over itself in a terminal, else a line every 15
    s and at the end.

    A reader that takes nothing (a terminal that is stopped by Ctrl-S) misses it.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text
        self._is_terminal = sys.stderr.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status line", daemon=True)

    def __enter__(self) -> "StatusLine":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_STATUS_EVERY_S)
        self._write("\n")

    def _run(self) -> None:
        while not self._stop.wait(_STATUS_EVERY_S if self._is_terminal else _LOG_EVERY_S):
            self._write("" if self._is_terminal else "\n")

    def _write(self, end: str) -> None:
        # the terminal's code for: clear this line
        begin = "\r\x1b[2K" if self._is_terminal else ""
        write(f"{begin}{self._text()}{end}")


def print_result(
    data: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], Any], kept: Path | None = None
) -> None:
    """Prints a command's result on stdout: one JSON object, or a table.

    Args:
        data: the result.
        as_json: which of the two.
        table: makes what is shown of the data.
        kept: the file that holds the result, too. Then a reader that has gone is no error.

    Raises:
        OutputError: stdout does not take it.
    """
    output = Output()
    try:
        if as_json:
            output.write(json.dumps(data) + "\n")
        else:
            width = None if output.isatty() else _WIDTH_OF_A_FILE
            Console(file=output, width=width).print(table(data))
    except OutputError as failure:
        if kept is None:
            raise
        if not isinstance(failure.error, BrokenPipeError):
            raise OutputError(failure.error, kept) from failure


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """For Python, for C and for the processes that the body starts."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        aside = Aside()  # also for who prints on stderr: a reader that has gone must not end the work
        with contextlib.redirect_stdout(aside), contextlib.redirect_stderr(aside):
            yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C keeps what it prints to a pipe
        os.dup2(kept, 1)
        os.close(kept)


def percent(fraction: float | None) -> str:
    """E.g. `97.5 %`; `-` for None."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def interval(mean: float, ends: tuple[float, float]) -> str:
    """E.g. `-1.20 [-1.30, -1.10]`."""
    return f"{mean:.2f} {bounds(ends, 1)}"


def bounds(ends: tuple[float, float], scale: float) -> str:
    """The ends of an interval, times `scale`; nothing where they are not known."""
    return "" if None in ends else f"[{scale * ends[0]:.2f}, {scale * ends[1]:.2f}]"
