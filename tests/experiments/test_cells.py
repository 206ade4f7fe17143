"""Cells on local processes: real workers, real kills."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from suites import WORK, has_counted, log_counts, make_cells, release, squares, start_driver, wait_for

from l0_surgical import __version__
from l0_surgical.experiments.jobs import Cell, Work, run_cells
from l0_surgical.system.errors import BadInputError


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` but the lock."""
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    }


def test_a_failing_cell_costs_only_itself(tmp_path: Path) -> None:
    cells = make_cells(
        tmp_path, "", "die once", "raise once", "die", "exit", "raise", "refuse", "leave NaN", "die at exit"
    )
    told: list[tuple[str, int, int]] = []
    outcome = run_cells(
        cells, WORK, tmp_path / "out", jobs=2, retries=1, progress=lambda *what: told.append(what)
    )

    assert [result.name for result in outcome.finished] == ["cell-0", "cell-1", "cell-2", "cell-8"]
    assert squares(outcome) == [0, 1, 4, 64]
    log = tmp_path / "out" / "cells"
    killed = "the worker was killed by SIGKILL (out of memory?); see"
    assert outcome.failed.pop("cell-7").startswith("the work's result is not JSON (Out of range float values")
    assert outcome.failed == {
        "cell-3": f"{killed} {log}/cell-3/worker.log",
        "cell-4": f"the worker ended with exit code 7 and no result; see {log}/cell-4/worker.log",
        "cell-5": "ValueError: the network diverged",
        "cell-6": "no such environment; choose another one",
    }
    assert sorted(name for name, _ in outcome.rerun) == [f"cell-{n}" for n in (1, 2, 3, 4, 5, 7)]
    assert dict(outcome.rerun)["cell-1"].startswith(killed)
    starts = {cell.name: log_counts(tmp_path)[f"start {cell.specification['number']}"] for cell in cells}
    assert starts == {f"cell-{n}": 2 if n in (1, 2, 3, 4, 5, 7) else 1 for n in range(9)}
    assert told[0] == ("cells", 0, 9) and told[-1] == ("cells", 9, 9)
    assert "ValueError: the network diverged" in (log / "cell-5" / "worker.log").read_text()


def test_the_result_file_says_what_was_done_where_and_at_what_cost(tmp_path: Path) -> None:
    cells = make_cells(tmp_path, "raise once", steps=4)
    (result,) = run_cells(cells, WORK, tmp_path / "out").finished
    data = json.loads((tmp_path / "out" / "cells" / "cell-0" / "result.json").read_text())
    assert data["format"] == 1 and data["l0_surgical"] == __version__ and len(data["sha256"]) == 64
    assert data["specification"] == cells[0].specification
    assert data["result"] == result.result == {"square": 0, "steps": [0], "threads": "1"}
    assert data["attempt"] == 2 and data["host"] == os.uname().nodename
    (before,) = json.loads((tmp_path / "out" / "cells" / "cell-0" / "attempts.json").read_text())
    assert before["cause"] == "ValueError: the network diverged"
    assert data["seconds"] > before["seconds"] + 4 * 0.05 > 0.2
    assert data["cpu_seconds"] > before["cpu_seconds"] > 0


def test_a_finished_cell_is_never_run_again_and_a_failed_one_is(tmp_path: Path) -> None:
    cells = make_cells(tmp_path, "", "raise once", "refuse")
    first = run_cells(cells, WORK, tmp_path / "out", retries=0)
    assert first.failed.keys() == {"cell-1", "cell-2"}
    second = run_cells(cells, WORK, tmp_path / "out", retries=0)
    assert second.finished[0] == first.finished[0]
    assert [result.attempt for result in second.finished] == [1, 2]
    assert second.failed.keys() == {"cell-2"} and second.rerun == []
    assert log_counts(tmp_path) == {"start 0": 1, "end 0": 1, "start 1": 2, "end 1": 1, "start 2": 2}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "could not be read"),
        (lambda text: text.replace('"square": 1', '"square": 7'), "had a wrong checksum"),
        (lambda text: text.replace('"host"', '"hose"'), "lacked a part"),
        (lambda text: "[]", "had no format number"),
    ],
    ids=["cut short", "changed", "a part lost", "something else"],
)
def test_a_corrupted_result_is_put_aside_and_the_cell_run_again(
    tmp_path: Path, damage: Callable[[str], str], reason: str
) -> None:
    cells = make_cells(tmp_path, 2)
    first = run_cells(cells, WORK, tmp_path / "out")
    file = tmp_path / "out" / "cells" / "cell-1" / "result.json"
    for number in (1, 2):
        damaged = damage(file.read_text())
        assert damaged != file.read_text()
        file.write_text(damaged)
        outcome = run_cells(cells, WORK, tmp_path / "out")
        assert squares(outcome) == squares(first) == [0, 1]
        ((name, why),) = outcome.rerun
        assert name == "cell-1" and reason in why
        assert file.with_name(f"result.json.corrupt-{number}").read_text() == damaged
    assert log_counts(tmp_path) == {"start 0": 1, "end 0": 1, "start 1": 3, "end 1": 3}


def edit(file: Path, **changes: Any) -> None:
    """Changes entries of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_another_suites_folder_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    out, cells = tmp_path / "out", make_cells(tmp_path, 2)
    run_cells(cells, WORK, out)
    result = out / "cells" / "cell-1" / "result.json"
    sound, suite = result.read_text(), (out / "suite.json").read_text()

    def refused(words: str, cells: list[Cell] = cells, work: Work = WORK) -> None:
        before = content(out)
        with pytest.raises(BadInputError, match="choose another --out") as caught:
            run_cells(cells, work, out)
        assert words in str(caught.value) and "\n" not in str(caught.value)
        assert content(out) == before

    other = replace(cells[1], specification={**cells[1].specification, "number": 5})
    refused("in cell cell-1 number is 1 there and 5 here", [cells[0], other])
    refused("cell cell-1 is not of this suite", cells[:1])
    refused("cell cell-2 is not of the suite in that folder", make_cells(tmp_path, 3))
    refused(
        "holds a suite of squares and this one is of nothing",
        work=Work("nothing", "cell_works:other_work"),
    )
    edit(result, format=2)
    refused("the result of cell cell-1 in")
    result.write_text(sound)
    edit(out / "suite.json", format=0)
    refused("suite.json has format 0 and this version knows 1")
    (out / "suite.json").write_text("{")
    refused("suite.json is damaged")
    (out / "suite.json").unlink()
    refused("cell cell-1 is not of this suite", cells[:1])
    (out / "suite.json").write_text(suite)
    assert squares(run_cells(cells, WORK, out)) == [0, 1]


def test_a_folder_that_knows_the_work_by_a_former_name_goes_on(tmp_path: Path) -> None:
    out, cells = tmp_path / "out", make_cells(tmp_path, 2)
    run_cells(cells, Work("cell_works:work", "cell_works:work"), out)
    (out / "cells" / "cell-1" / "result.json").unlink()
    with pytest.raises(BadInputError, match="holds a suite of cell_works:work and this one is of squares"):
        run_cells(cells, WORK, out)
    assert squares(run_cells(cells, replace(WORK, former=("cell_works:work",)), out)) == [0, 1]
    assert json.loads((out / "suite.json").read_text())["work"] == "cell_works:work"
    assert log_counts(tmp_path) == {"start 0": 1, "end 0": 1, "start 1": 2, "end 1": 2}


def test_results_of_another_version_are_read_but_never_added_to(tmp_path: Path) -> None:
    out, cells = tmp_path / "out", make_cells(tmp_path, 2)
    run_cells(cells, WORK, out)
    edit(out / "cells" / "cell-0" / "result.json", l0_surgical="0.0.9")
    assert [result.version for result in run_cells(cells, WORK, out).finished] == ["0.0.9", __version__]
    (out / "cells" / "cell-1" / "result.json").unlink()
    with pytest.raises(
        BadInputError, match=r"results of l0_surgical 0\.0\.9 and this is .* choose another --out"
    ):
        run_cells(cells, WORK, out)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([], "no cells"),
        (
            [Cell("a", {"n": 1}), Cell("b", {"n": 2}), Cell("a", {"n": 3})],
            "cell names a are given more than once",
        ),
        (
            [Cell("a", {"n": 1, "m": 2}), Cell("b", {"m": 2, "n": 1})],
            "cells a and b have the same specification",
        ),
        ([Cell("../a", {})], "'../a' cannot be a folder's"),
        ([Cell("a b", {})], "'a b' cannot be a folder's"),
        ([Cell("a", {"n": float("nan")})], "specification of cell a is not JSON"),
        ([Cell("a", {"n": Path("x")})], "specification of cell a is not JSON"),
        ([Cell("a", {"n": (1, 2)})], "specification of cell a is not JSON"),
    ],
)
def test_cells_that_make_no_sense_are_refused(tmp_path: Path, cells: list[Cell], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        run_cells(cells, WORK, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("work", "arguments", "words"),
    [
        (Work("a", "cell_works"), {}, "cannot find the work 'cell_works'"),
        (Work("a", "cell_works:absent"), {}, "cannot find the work 'cell_works:absent'"),
        (Work("a", "no_such_module:work"), {}, "cannot find the work"),
        (Work("a", "cell_works:__doc__"), {}, "is no function"),
        (WORK, {"jobs": 0}, "0 jobs"),
        (WORK, {"retries": -1}, "-1 retries"),
        (WORK, {"engine": "slurm"}, "engine 'slurm'"),
        (WORK, {"address": "here:6379"}, "only ray has an address"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    tmp_path: Path, work: Work, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        run_cells(make_cells(tmp_path, 1), work, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_without_ray_only_its_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInputError, match=r"needs ray; install it: pip install '\.\[sweep\]'"):
        run_cells(make_cells(tmp_path, 1), WORK, tmp_path / "out", engine="ray")
    assert squares(run_cells(make_cells(tmp_path, 1), WORK, tmp_path / "out")) == [0]


def test_two_suites_never_work_in_one_folder(tmp_path: Path) -> None:
    with start_driver(tmp_path) as driver:
        with pytest.raises(
            BadInputError, match=rf"another suite \(process {driver.pid} on .*\) works in .* wait for its end"
        ):
            run_cells(make_cells(tmp_path, 3, steps=12), WORK, tmp_path / "out")
        release(tmp_path)
        assert driver.wait(30) == 0
    outcome = run_cells(make_cells(tmp_path, 3, steps=12), WORK, tmp_path / "out")
    assert squares(outcome) == [0, 1, 4]
    assert set(log_counts(tmp_path).values()) == {1}


def end_by_ctrl_c(driver: subprocess.Popen[str]) -> None:
    """As the terminal does: to every process of the group."""
    os.killpg(driver.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("end", "cells"), [(end_by_ctrl_c, 3), (subprocess.Popen.terminate, 2)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_suite_saves_and_goes_on(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None], cells: int
) -> None:
    with start_driver(tmp_path, cells=cells) as driver:
        wait_for(lambda: has_counted(tmp_path, 0, 3) and has_counted(tmp_path, 1, 3))
        end(driver)
        output = driver.communicate(timeout=30)[0]
    assert driver.returncode == 130
    assert (
        output == f"stopped with 0 of {cells} cells finished; run the same command again to go on in "
        f"{tmp_path / 'out'}\n"
    )
    assert log_counts(tmp_path) == {"start 0": 1, "start 1": 1}

    release(tmp_path)
    outcome = run_cells(make_cells(tmp_path, cells, steps=12), WORK, tmp_path / "out", jobs=3)
    assert squares(outcome) == [0, 1, 4][:cells]
    # the first two have gone on where they were stopped, and an interruption is no failure
    steps = [result.result["steps"] for result in outcome.finished]
    assert [len(starts) for starts in steps] == [2, 2, 1][:cells] and min(steps[0][1], steps[1][1]) >= 2
    assert outcome.rerun == [] and outcome.failed == {}
    assert [log_counts(tmp_path)[f"end {n}"] for n in range(cells)] == [1] * cells


def test_workers_save_and_end_when_the_suite_is_killed(tmp_path: Path) -> None:
    with start_driver(tmp_path, steps=40) as driver:
        wait_for(lambda: has_counted(tmp_path, 0, 3) and has_counted(tmp_path, 1, 3))
        driver.kill()
    # at once: the new attempts wait until the old ones have saved
    release(tmp_path)
    outcome = run_cells(make_cells(tmp_path, 3, steps=40), WORK, tmp_path / "out", jobs=3)
    assert squares(outcome) == [0, 1, 4]
    assert [len(result.result["steps"]) for result in outcome.finished] == [2, 2, 1]
    assert [log_counts(tmp_path)[f"end {n}"] for n in range(3)] == [1, 1, 1]


def test_an_attempt_that_ended_unseen_is_not_repeated(tmp_path: Path) -> None:
    # these work on to their end when their suite is killed
    with start_driver(tmp_path, do="ignore signals") as driver:
        driver.kill()
    release(tmp_path)
    outcome = run_cells(
        make_cells(tmp_path, *["ignore signals"] * 3, steps=12), WORK, tmp_path / "out", jobs=3
    )
    assert squares(outcome) == [0, 1, 4]
    assert set(log_counts(tmp_path).values()) == {1}


def test_what_a_dead_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    run_cells(make_cells(tmp_path, "leave a child"), WORK, tmp_path / "out", retries=0)
    child = int((tmp_path / "out" / "cells" / "cell-0" / "child").read_text())
    wait_for(lambda: not is_running(child))


def test_a_worker_that_dies_before_it_has_read_its_job_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    cells = make_cells(tmp_path, "", more="than a pipe holds" * 10_000)
    outcome = run_cells(cells, WORK, tmp_path / "out", retries=0)
    assert outcome.failed["cell-0"].startswith("the worker ended with exit code 1 and no result; see")


def is_running(process: int) -> bool:
    """True for a process that exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with start_driver(tmp_path, steps=2000, do="ignore signals") as driver:
        workers = [int(file.read_text()) for file in (tmp_path / "out" / "cells").glob("*/worker")]
        driver.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert driver.poll() is None
        for _ in range(10):  # on a busy machine one may meet the driver where Python drops its exception
            driver.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(3)
                break
    assert driver.returncode is not None
    assert len(workers) == 2 and not any(is_running(worker) for worker in workers)
