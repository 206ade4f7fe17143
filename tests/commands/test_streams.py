"""Standard streams that are closed, full or left by their reader, and a locale that knows ASCII only: one
line, never a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interrupting import SMALL, is_running, rounds_in, start, the_line, wait_for

INSPECT = ("inspect", "needle-reach-l0-compressed")
EVALUATE = ("evaluate", "needle-reach-l0-compressed", "--episodes", "1")
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def said(arguments: tuple[str, ...], shell: str) -> subprocess.CompletedProcess[str]:
    """`l0-surgical ARGUMENTS SHELL`, e.g. with a redirection."""
    command = ["bash", "-c", f'"$0" -m l0_surgical "$@" {shell}', sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)


@pytest.mark.parametrize(
    "arguments", [INSPECT, (*INSPECT, "--json"), EVALUATE, ("train", "--help"), ("--version",)], ids=" ".join
)
def test_output_onto_a_full_disk(arguments: tuple[str, ...]) -> None:
    result = said(arguments, "> /dev/full")
    assert result.returncode == 1
    assert (
        the_line(result.stderr) == "l0-surgical: could not write to standard output: No space left on device"
    )


@pytest.mark.parametrize("arguments", [INSPECT, ("inspect", "--help")], ids=" ".join)
def test_output_that_is_closed(arguments: tuple[str, ...]) -> None:
    result = said(arguments, ">&-")
    assert result.returncode == 1
    assert the_line(result.stderr) == "l0-surgical: could not write to standard output: it is closed"


def test_a_reader_that_has_gone() -> None:
    result = said(INSPECT, "| true; exit ${PIPESTATUS[0]}")
    assert result.returncode == 1
    assert "Broken pipe" in the_line(result.stderr)


@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-", "<&- 2>&-"])
def test_errors_that_nobody_takes_change_nothing(shell: str) -> None:
    result = said(EVALUATE, shell)
    assert result.returncode == 0
    assert "needle-reach" in result.stdout
    assert said(("fly",), shell).returncode == 2


def test_a_training_whose_table_cannot_be_printed_says_where_it_is(tmp_path: Path) -> None:
    result = said(
        ("train", "needle-reach", "--out", str(tmp_path / "run"), *SMALL, "--episodes", "1"), "> /dev/full"
    )
    assert result.returncode == 1
    assert the_line(result.stderr).endswith(
        f"No space left on device; the result is in {tmp_path / 'run' / 'summary.json'}"
    )


def test_ascii_locale_and_other_names(tmp_path: Path) -> None:
    """A whole training in a folder that the locale cannot spell; what goes wrong there is told as what it
    is."""
    run = tmp_path / "läuft é"
    environment = {**os.environ, **ASCII}
    arguments = ["train", "needle-reach", "--out", run, *SMALL, "--episodes", "2"]
    process = start(*arguments, env=environment)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, rounds_in(run / "metrics.csv")) == (0, 2), errors
    assert "läuft é" in output
    again = start(*arguments, env=environment)
    _, errors = again.communicate(timeout=120)
    assert (again.returncode, the_line(errors).partition(";")[0]) == (
        2,
        f"l0-surgical: {run} holds a run already",
    )
    (policy,) = (run / "policies").iterdir()
    process = start("inspect", policy, "--json", env=environment)
    assert json.loads(process.communicate(timeout=60)[0])["task"] == "needle-reach"


def children_of(pid: int) -> list[int]:
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def test_a_signal_ends_a_command_and_its_processes() -> None:
    process = start(
        "evaluate", "needle-reach-l0", "--episodes", "100000", "--jobs", "2", stderr=subprocess.DEVNULL
    )
    wait_for(lambda: len(children_of(process.pid)) >= 3, process)  # and multiprocessing's own
    children = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    end = time.monotonic() + 30
    while any(is_running(child) for child in children):
        assert time.monotonic() < end
        time.sleep(0.05)
