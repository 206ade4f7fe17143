"""What ends a training before its end, or tries to: signals, readers and terminals that go away, full disks;
and that nothing is lost."""

import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from l0_surgical import training
from l0_surgical.algorithms import registry
from l0_surgical.settings.training import TrainingConfig
from tests.interrupting import (
    CARTPOLE,
    SMALL,
    Countdown,
    SignallingRecorder,
    is_running,
    rounds_in,
    start,
    the_line,
    wait_for,
)
from tests.robot.messaging.domains import ARM, DOMAIN
from tests.small import small_config
from tests.training.test_discrete_training import small as small_discrete


@pytest.fixture(autouse=True)
def _no_countdown() -> Iterator[None]:
    Countdown.left = None
    yield
    Countdown.left = None


def discrete(algorithm: Any) -> TrainingConfig:
    """Six rounds of two cohorts, a validation in every second one."""
    return small_discrete(algorithm, task=CARTPOLE, steps=960, checkpoint_every=4)


def goal() -> TrainingConfig:
    """Four rounds of two cohorts, a validation in every second one."""
    return small_config(regularizer=("none", "l0"))


@pytest.fixture
def signalling_goal_task(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = registry.open_goal_task
    monkeypatch.setattr(registry, "open_goal_task", lambda task: SignallingRecorder(opened(task).env))


def policies(summary: dict[str, Any]) -> list[bytes]:
    return [Path(row["policy"]).read_bytes() for row in summary["members"]]


def columns(run: Path) -> list[list[str]]:
    """metrics.csv without what follows the clock and the figures of losses, whose means leave out what was
    done before a stop."""
    rows = [line.split(",") for line in (run / "metrics.csv").read_text(encoding="utf-8").splitlines()]
    kept = [
        rows[0].index(name)
        for name in ("round", "member", "env_steps", "updates", "train_return", "validation_return")
    ]
    return [[row[index] for index in kept] for row in rows]


def steps_of(config: TrainingConfig, folder: Path) -> int:
    """Trains without a stop; returns how many steps that took."""
    Countdown.left = 10**9
    training.train(config, folder)
    return 10**9 - Countdown.left


@pytest.mark.parametrize("kind", ["dqn", "ppo", "ddpg"])
def test_a_stop_at_any_step_loses_nothing_and_changes_nothing(
    kind: str, tmp_path: Path, signalling_goal_task: None
) -> None:
    """In demonstrations, episodes, roll-outs, validations and the final evaluation; several times in one
    run."""
    config = goal() if kind == "ddpg" else discrete(kind)
    steps = steps_of(config, tmp_path / "whole")
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text(encoding="utf-8"))
    stops = 0
    while True:
        Countdown.left = (
            steps * (3 + stops) // 23
        )  # further each time, as demonstrations and the final evaluation begin anew
        try:
            resumed = training.resume(tmp_path / "run") if stops else training.train(config, tmp_path / "run")
            break
        except training.InterruptedRun:
            stops += 1
    assert stops >= 4
    assert policies(resumed) == policies(summary)
    assert columns(tmp_path / "run") == columns(tmp_path / "whole")


def test_a_stop_while_demonstrations_are_collected_can_be_resumed(tmp_path: Path) -> None:
    process = start(
        "train",
        "needle-reach",
        "--out",
        tmp_path / "run",
        *SMALL,
        "--demonstration-episodes",
        "100000",
        "--episodes",
        "2",
    )
    wait_for((tmp_path / "run" / "config.json").exists, process)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert the_line(errors).endswith(
        f"stopped after round 0 of 2; go on with: l0-surgical train --resume {tmp_path / 'run'}"
    )
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_hang_up_in_the_final_evaluation_keeps_the_training(tmp_path: Path) -> None:
    few = ["--episodes", "2", "--final-evaluation-episodes", "100000"]
    process = start("train", "needle-reach", "--out", tmp_path / "run", *SMALL, *few)
    wait_for((tmp_path / "run" / "checkpoint.pt").exists, process)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after round 2 of 2; go on with" in the_line(errors)


def test_a_second_signal_ends_a_training_that_does_not_end(tmp_path: Path) -> None:
    """A round whose updates take for ever, which the first signal lets finish."""
    updates = ["--ddpg.updates-per-episode", "10000", "--ddpg.dex-coefficient", "0", "--episodes", "2"]
    process = start(
        "train",
        "needle-reach",
        "--out",
        tmp_path / "run",
        *SMALL,
        "--ddpg.hidden",
        "256",
        "256",
        "256",
        *updates,
    )
    wait_for((tmp_path / "run" / "metrics.csv").exists, process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.0)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == -signal.SIGHUP


def clock_of(minutes: list[float]) -> Any:
    return lambda: 60.0 * minutes[0]


def test_checkpoints_follow_the_clock(tmp_path: Path) -> None:
    minutes, saved = [0.0], []

    def progress(text: str, done: int, total: int) -> None:
        if text == "training":
            checkpoint = tmp_path / "run" / "checkpoint.pt"
            saved.append(torch.load(checkpoint, weights_only=True)["round"] if checkpoint.exists() else 0)
            minutes[0] += 0.9

    training.train(
        small_config(episodes=7, checkpoint_every=100),
        tmp_path / "run",
        progress=progress,
        clock=clock_of(minutes),
    )
    assert saved == [0, 0, 0, 4, 4, 4, 7]  # the last is saved before anybody is told of it


def test_a_budget_follows_the_same_clock(tmp_path: Path) -> None:
    minutes = [0.0]

    def progress(text: str, done: int, total: int) -> None:
        minutes[0] += 2.0 * (text == "training")

    with pytest.raises(training.InterruptedRun, match="after round 4 of 9"):
        training.train(
            small_config(episodes=9),
            tmp_path / "run",
            budget_minutes=5,
            progress=progress,
            clock=clock_of(minutes),
        )


# readers and terminals that go away


def test_a_reader_that_goes_away_does_not_end_a_training(tmp_path: Path) -> None:
    process = start(
        "train",
        "needle-reach",
        "--out",
        tmp_path / "run",
        *SMALL,
        "--episodes",
        "30",
        stderr=subprocess.STDOUT,
    )
    assert "collecting" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0
    assert rounds_in(tmp_path / "run" / "metrics.csv") == 30
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_training_needs_no_standard_streams(tmp_path: Path) -> None:
    closed = lambda: [os.close(descriptor) for descriptor in (0, 1, 2)]  # noqa: E731
    process = start(
        "train", "needle-reach", "--out", tmp_path / "run", *SMALL, "--episodes", "2", preexec_fn=closed
    )
    assert process.wait(120) == 1  # the table could not be printed, but
    assert len(json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["members"]) == 1
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["round"] == 2


def in_a_terminal(*arguments: str | Path, ignore_hang_up: bool) -> tuple[subprocess.Popen[str], int]:
    """The command in the foreground of a terminal of its own, and the terminal's other end."""
    ours, theirs = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        if ignore_hang_up:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_the_terminal)
    os.close(theirs)
    return process, ours


@pytest.mark.parametrize("ignore_hang_up", [False, True], ids=["saves", "nohup goes on"])
def test_a_terminal_that_is_closed(ignore_hang_up: bool, tmp_path: Path) -> None:
    run = tmp_path / "run"
    episodes = 100 if ignore_hang_up else 100_000
    arguments = [
        "train",
        "needle-reach",
        "--out",
        run,
        *SMALL,
        "--episodes",
        str(episodes),
        "--checkpoint-every",
        "1000000",
    ]
    process, terminal = in_a_terminal(*arguments, ignore_hang_up=ignore_hang_up)
    try:
        wait_for(lambda: os.read(terminal, 4096) and rounds_in(run / "metrics.csv") > 3, process)
    finally:
        os.close(terminal)
    code = process.wait(120)
    done = torch.load(run / "checkpoint.pt", weights_only=True)["round"]
    if ignore_hang_up:
        assert (done, rounds_in(run / "metrics.csv")) == (100, 100)
        assert (run / "summary.json").exists()
    else:
        assert code == 130
        assert 3 < done == rounds_in(run / "metrics.csv") < episodes


# full disks, and what a crash has left half written


def test_a_full_disk_while_metrics_are_written_is_one_line(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow above a limit as it refuses to fill a full disk; here metrics.csv
    comes near it, repeated."""
    run, config = tmp_path / "run", small_config(episodes=300)
    with pytest.raises(training.InterruptedRun):
        training.train(config, run, budget_minutes=0.0)
    header, row = (run / "metrics.csv").read_bytes().splitlines(keepends=True)
    repeated = (run / "checkpoint.pt").stat().st_size * 2 // len(row)
    (run / "metrics.csv").write_bytes(header + repeated * row)
    limit = (run / "metrics.csv").stat().st_size + 8 * len(row)
    process = start(
        "train", "--resume", run, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    saved = torch.load(run / "checkpoint.pt", weights_only=True)["round"]
    assert saved > 2
    assert the_line(errors) == (
        f"l0-surgical: could not write {run / 'metrics.csv'}: File too large; the checkpoint of round "
        f"{saved} is intact. Free some space and go on with: l0-surgical train --resume {run}"
    )
    with pytest.raises(training.InterruptedRun, match=f"after round {saved + 1} of"):
        training.resume(run, budget_minutes=0.0)
    assert rounds_in(run / "metrics.csv") == repeated + saved


def test_without_room_for_a_beginning_nothing_is_left(tmp_path: Path) -> None:
    arguments = ["train", "needle-reach", "--out", tmp_path / "new" / "run", *SMALL]
    process = start(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert the_line(errors).endswith("Free some space and run again.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tail", ["3,0,7", "3,0,7\r\n", "3", "\0\0\0\0", "nonsense\r\n"], ids=repr)
def test_a_last_line_that_was_half_written_is_dropped(tail: str, tmp_path: Path) -> None:
    with pytest.raises(training.InterruptedRun):
        training.train(small_config(episodes=5), tmp_path / "run", budget_minutes=0.0)
    metrics = tmp_path / "run" / "metrics.csv"
    with metrics.open("a", newline="", encoding="utf-8") as stream:
        stream.write(tail)
    training.resume(tmp_path / "run")
    training.train(small_config(episodes=5), tmp_path / "whole")
    assert columns(tmp_path / "run") == columns(tmp_path / "whole")


class Failure(Exception):
    """Of the work itself."""


def test_what_is_closed_in_the_end_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Failure

    monkeypatch.setattr("l0_surgical.training.run_folder.EventFile", fail)
    with pytest.raises(Failure):
        training.train(small_config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_simulated_arm_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    script = f"""
import time
from l0_surgical.robot.simulated_arm.process import arm_beside
with arm_beside("--arm", {ARM!r}, "--domain", "{DOMAIN}") as arm:
    print(arm.pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as program:
        arm = int(program.stdout.readline())
        program.kill()
    end = time.monotonic() + 30
    while is_running(arm):
        assert time.monotonic() < end, "the arm is still there"
        time.sleep(0.05)
