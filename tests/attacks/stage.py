"""What a scene needs: where it is played, the processes beside it, and what came of it."""

import contextlib
import ctypes
import fcntl
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.workers import Worker, serve_arms, serve_controllers

FIRST_DOMAIN, DOMAINS = 200, 32
_IS_UP = "is up"
_PATIENCE_S = 10.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Staging:
    """What is the same for all scenes of a run.

    Attributes:
        arm_name: the arm's ROS namespace.
        arm_command: starts another arm than the simulated one: a command line with {domain} and {arm}; None
            for the simulated one.
        limits_file: the controller's limits.
    """

    arm_name: str
    arm_command: str | None
    limits_file: Path | None


@dataclass
class Result:
    """What came of an attack; `table` says what of it is shown.

    Attributes:
        said: the controller's refusal or fault; None where there was none.
        noticed_ms: from the attacker's first act to that.
        goals, reached: how many were set, and said to be reached.
        falsely_reached: how many of those were not, by the arm's own word, and how far the farthest was from
        its goal (mm). outside_mm, step_mm, any_outside_mm, any_step_mm: see `judge.Findings`.
        went_on_s: how long commands went on after the first act; None where none was sent.
        commands: how many there were.
        audited: what `control.audit` finds in the controller's recording.
        rates, answer_ms, others: see `attacker.Log`.
        trouble: why the scene itself went wrong, or None.
        again: how often it was played in vain before, because this computer was too busy.
        seconds: it took.
    """

    said: str | None = None
    noticed_ms: float | None = None
    goals: int = 0
    reached: int = 0
    falsely_reached: int = 0
    farthest_mm: float = 0.0
    outside_mm: float = 0.0
    step_mm: float = 0.0
    any_outside_mm: float = 0.0
    any_step_mm: float = 0.0
    went_on_s: float | None = None
    commands: int = 0
    audited: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    answer_ms: float | None = None
    others: list[str] = field(default_factory=list)
    trouble: str | None = None
    again: int = 0
    seconds: float = 0.0


class ForeignArm:
    """An arm that some command starts, which says "is up" when the arm is there; it is asked for its end
    only."""

    def __init__(self, command: str, domain: int, name: str) -> None:
        arguments = shlex.split(command.format(domain=domain, arm=name))
        self._process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        said = []
        for line in self._process.stdout:
            said.append(line)
            if _IS_UP in line:
                break
        else:
            raise RuntimeError(f"the arm did not start: {' '.join(said)[-500:]}")
        # nobody reads on: let it write
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def ask(self, *order: object) -> None:
        """Ends it, whatever the order."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _end_with_parent() -> None:
    """In a new process: SIGTERM when the one that made it is gone, however that ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Stage:
    """The workers of one process of the pool."""

    def __init__(self) -> None:
        self.arm, self.controller = Worker(serve_arms), Worker(serve_controllers)


@contextlib.contextmanager
def free_domain(number: int) -> Iterator[int]:
    """A DDS domain that no other scene of this machine is in."""
    for step in range(DOMAINS):
        domain = FIRST_DOMAIN + (number + step) % DOMAINS
        with (Path(tempfile.gettempdir()) / f"l0-attacks-domain-{domain}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError("no DDS domain is free")
