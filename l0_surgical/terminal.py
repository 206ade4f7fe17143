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

from l0_surgical.speaking import write
from l0_surgical.streams import Aside, Output, OutputError

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError:
    # a robot's computer with the core install alone: only `inspect` runs there
    from l0_surgical._plain_table import Console, Table

from l0_surgical.files import number_name

_LOG_EVERY_S = 15.0
_STATUS_EVERY_S = 0.2
_WIDTH_OF_A_FILE = 140


class ProgressBar:
    """`bar(text, done, total)` shows a bar with rate and remaining time; where stderr is no terminal, a line now and then.

    While it is shown, what anything else prints, such as an environment, goes to stderr: stdout is for the result. Once nobody takes what
    it shows, it shows nothing.
    """

    def __enter__(self) -> "ProgressBar":
        self._apart = contextlib.ExitStack()
        self._apart.enter_context(_stdout_to_stderr())
        self._console = Console(file=Aside())
        self._is_terminal = self._console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._logged = 0.0
        if self._is_terminal:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
            left = f", {(total - done) * (now - start) / (done - first):.0f} s left" if first < done < total else ""
            self._console.print(f"{text}: {done}{f'/{total}' if total else ''} {rate}{left}", highlight=False)


class StatusLine:
    """Shows `text()` again and again on stderr, in a thread: over itself in a terminal, else a line every 15 s and at the end.

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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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


def print_result(data: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], Any], kept: Path | None = None) -> None:
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


def members_table(summary: dict[str, Any]) -> Table:
    """The result of `train`."""
    table = Table(
        "seed", "regularizer", "coefficient", "success", "return", "actor sparsity", "at start", "critic sparsity", title=summary["run"]
    )
    for row in summary["members"]:
        head = (str(row["seed"]), row["regularizer"], number_name(row["coefficient"]))
        if row["policy"] is None:
            table.add_row(*head, f"stopped: {row['failed']}")
            continue
        # DQN and PPO have no sparse critic
        sparsity = (_percent(row.get(key)) for key in ("sparsity", "sparsity_at_init", "critic_sparsity"))
        table.add_row(*head, _percent(row["success_rate"]), _interval(row["return_mean"], row["return_ci95"]), *sparsity)
    return table


def evaluation_table(result: dict[str, Any]) -> Table:
    """The result of `evaluate`."""
    table = Table("task", "episodes", "return", "success", "steps to success")
    success = "-" if result["success_rate"] is None else f"{_percent(result['success_rate'])} {_bounds(result['success_ci95'], 100)}"
    steps = "-" if result["steps_to_success_mean"] is None else f"{result['steps_to_success_mean']:.1f}"
    table.add_row(result["task"], str(result["episodes"]), _interval(result["return_mean"], result["return_ci95"]), success, steps)
    return table


def compression_table(report: dict[str, Any]) -> Table:
    """The result of `compress`."""
    table = Table("candidate", "numbers", "bytes", "smaller", "return", "success", title="chosen: " + report["chosen"]["label"])
    labels = [row["method"] if row["rank"] is None else f"rank {row['rank']}" for row in report["sweep"]]
    for label, row in zip([*labels, "chosen"], [*report["sweep"], report["chosen"]], strict=True):
        numbers = (str(row["parameters"]), str(row["bytes"]), f"{row['size_decrease_percent']:.2f} %")
        table.add_row(label, *numbers, _interval(row["return_mean"], row["return_ci95"]), _percent(row["success_rate"]))
    return table


def inspection_table(description: dict[str, Any]) -> Table:
    """The result of `inspect`."""
    size = f"{description['parameters']} numbers, {description['bytes']} bytes"
    title = f"{description['task']}: {size}, sparsity {_percent(description['sparsity'])}"
    table = Table("layer", "shape", "representation", "numbers", "non-zero", "sparsity", "dead units", "bytes", title=title)
    for layer in description["layers"]:
        shape = " x ".join(map(str, layer["shape"]))
        counts = (
            str(layer["parameters"]),
            str(layer["nonzero"]),
            _percent(layer["sparsity"]),
            str(layer["dead_units"]),
            str(layer["bytes"]),
        )
        table.add_row(layer["name"], shape, layer["representation"], *counts)
    return table


def suite_table(result: dict[str, Any]) -> Table:
    """The result of `suite`."""
    hours = f"{result['wall_seconds'] / 3600:.2f} h, {result['cpu_seconds'] / 3600:.2f} CPU h"
    table = Table("environment / algorithm", "chosen L0 coefficients", title=f"{result['policies']} policies in {result['out']}, {hours}")
    for cell, picks in result["chosen"].items():
        table.add_row(cell, ", ".join(number_name(pick) for pick in picks) or "-")
    lines = [f"failed: {name}: {cause}" for name, cause in result["failed"].items()]
    lines += [f"run again: {line}" for line in result["run_again"]]
    table.caption = "\n".join([*lines, f"look at them with: l0-surgical report {result['out']} --out {result['out']}/report"])
    return table


def demo_table(report: dict[str, Any]) -> Table:
    """The result of `demo`."""
    title = f"NeedleReach, {report['episodes']} unseen episodes; files in {report['out']}"
    table = Table("policy", "success", "return (95 %)", "sparsity at start", "sparsity", "numbers", "bytes", "seconds", title=title)
    for row in report["policies"]:
        sparsity = (_percent(row["sparsity_at_init"]), _percent(row["sparsity"]))
        size = (str(row["parameters"]), str(row["bytes"]), f"{row['seconds']:.0f}")
        table.add_row(row["name"], _percent(row["success_rate"]), _interval(row["return_mean"], row["return_ci95"]), *sparsity, *size)
    control = report["control"]
    end = f", ended by: {control['failure']}" if control["failure"] else ""
    table.caption = (
        f"L0 compressed at a simulated arm, over DDS in real time: {control['reached']} of {control['goals']} goals reached, "
        f"jitter p99 {control['jitter']['p99_ms']:.2f} ms{end}"
    )
    return table


def report_table(summary: dict[str, Any]) -> Table:
    """The result of `report`."""
    table = Table("claim of the paper", "found here", "verdict", title=f"{summary['page']} ({summary['seconds']:.0f} s)")
    for row in summary["claims"]:
        table.add_row(*row)
    absent = "; ".join(f"{len(summary[key])} {key}" for key in ("missing", "failed") if summary[key])
    incomplete = f"incomplete results: {absent} (the page lists them)" if absent else "complete results"
    table.caption = f"{len(summary['tables']) // 2} tables, {len(summary['figures']) // 2} figures; {incomplete}"
    return table


def control_table(result: dict[str, Any]) -> Table:
    """The result of `control`."""
    done = f"{result['reached']} of {result['goals']} goals reached, {result['setpoints']} setpoints"
    title = f"{result['arm']}: {done}{' computed, none sent (dry run)' if result['dry_run'] else ''}"
    table = Table("", "p50 (ms)", "p99 (ms)", "p99.9 (ms)", "max (ms)", title=title)
    for name in ("period", "jitter", "latency", "age", "policy_step"):
        table.add_row(name, *(f"{result[name][key]:.3f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms")))
    table.caption = f"missed periods: {result['missed_periods']}; faults: {'; '.join(result['faults']) or 'none'}"
    return table


def export_table(report: dict[str, Any]) -> str:
    """The result of `export`."""
    error = report["max_abs_error"]
    return f"{report['file']}: " + (
        "not verified: there is nothing to run it with" if error is None else f"within {error:.1e} of the policy"
    )


def benchmark_table(report: dict[str, Any]) -> Table:
    """The result of `benchmark`."""
    table = Table("policy", "engine", "p50 (us)", "p99 (us)", "p99.9 (us)", "resident (MiB)", "first action (s)")
    for part in (report, report.get("reference")):
        for name, row in part["engines"].items() if part else ():
            times = (f"{row[key]:.2f}" for key in ("p50_us", "p99_us", "p999_us"))
            table.add_row(part["policy"], name, *times, f"{row['resident_mib']:.0f}", f"{row['first_action_s']:.2f}")
    absent = "; ".join(f"{name} is absent: {reason}" for name, reason in report["absent"].items())
    table.caption = "\n".join([*report["explain"], *([absent] if absent else [])])
    return table


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def _interval(mean: float, bounds: tuple[float, float]) -> str:
    return f"{mean:.2f} {_bounds(bounds, 1)}"


def _bounds(bounds: tuple[float, float], scale: float) -> str:
    return "" if None in bounds else f"[{scale * bounds[0]:.2f}, {scale * bounds[1]:.2f}]"
