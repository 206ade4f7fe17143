"""Environments that ask their own process to end at a given step, and processes to interrupt; for the tests
of interruptions."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

from l0_surgical.algorithms.replay import EpisodeRecorder

CARTPOLE = "SignallingCartPole-v0"
SMALL = [
    "--ddpg.hidden",
    "16",
    "16",
    "--ddpg.updates-per-episode",
    "2",
    "--demonstration-episodes",
    "2",
    "--threads",
    "1",
]
SMALL += ["--evaluation-episodes", "1", "--final-evaluation-episodes", "2"]


class Countdown:
    """Sends `number` to this process at the `left`-th step of any environment from now on; never if `left` is
    None."""

    left: ClassVar[int | None] = None
    number: ClassVar[int] = signal.SIGTERM

    @classmethod
    def tick(cls) -> None:
        """Called with every step."""
        if cls.left is not None:
            cls.left -= 1
            if cls.left == 0:
                cls.left = None
                os.kill(os.getpid(), cls.number)


class SignallingCartPole(CartPoleEnv):
    """CartPole that counts down."""

    def step(self, action: int) -> tuple:
        Countdown.tick()
        return super().step(action)


class SignallingRecorder(EpisodeRecorder):
    """A goal task that counts down."""

    def step(self, action: Any) -> tuple:
        Countdown.tick()
        return super().step(action)


gymnasium.register(CARTPOLE, entry_point=SignallingCartPole, max_episode_steps=60)


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """`l0-surgical` with these arguments, in a process of its own."""
    command = [sys.executable, "-m", "l0_surgical", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, encoding="utf-8", **{**pipes, **options})


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], limit_s: float = 60.0) -> None:
    """Waits until the condition holds, while the process runs."""
    end = time.monotonic() + limit_s
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def rounds_in(metrics: Path) -> int:
    """How many lines a file of metrics has beside its header."""
    return len(metrics.read_text(encoding="utf-8").splitlines()) - 1 if metrics.exists() else 0


def the_line(errors: str) -> str:
    """The one line of complaint in what a command has said."""
    assert "Traceback" not in errors, errors
    (line,) = (line for line in errors.splitlines() if line.startswith("l0-surgical: "))
    return line


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
