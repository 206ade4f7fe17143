"""What the cells of the tests do, in real workers. Each execution writes its start and its end to a log that
all of them share."""

import atexit
import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from l0_surgical.system.errors import BadInputError


def work(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Does what the specification says, and squares its number."""
    (folder / "worker").write_text(str(os.getpid()))
    _log(specification, "start")
    first = not (folder / "been here").exists()
    (folder / "been here").touch()
    do = specification.get("do", "")
    _misbehave(do, first, folder)
    if do == "leave NaN":
        return {"square": float("nan")}
    steps = _steps(folder, specification.get("steps", 0), Path(specification["log"]).with_name("held"))
    _log(specification, "end")
    return {"square": specification["number"] ** 2, "steps": steps, "threads": os.environ["OMP_NUM_THREADS"]}


def other_work(specification: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Another suite's work."""
    return {}


def _misbehave(do: str, first: bool, folder: Path) -> None:
    if do == "leave a child":
        child = subprocess.Popen(["sleep", "60"])
        (folder / "child").write_text(str(child.pid))
    if do in ("die", "leave a child") or (do == "die once" and first):
        _die()
    if do == "die at exit":
        atexit.register(_die)
    if do == "exit":
        os._exit(7)
    if do == "raise" or (do == "raise once" and first):
        raise ValueError("the network diverged")
    if do == "refuse":
        raise BadInputError("no such environment; choose another one")
    if do == "ignore signals":
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _steps(folder: Path, steps: int, held: Path) -> list[int]:
    """Counts to `steps`, 20 a second, and on while the file `held` is there; interrupted, it saves how far it
    came.

    Returns where each attempt has started.
    """
    checkpoint = folder / "checkpoint"
    starts = [int(line) for line in checkpoint.read_text().split()] if checkpoint.exists() else [0]
    try:
        for done in itertools.count(starts[-1]):
            if done >= steps and not held.exists():
                break
            time.sleep(0.05)
            with (folder / "counted").open("a", encoding="utf-8") as counted:
                counted.write(".")
    except KeyboardInterrupt:
        checkpoint.write_text(" ".join(map(str, [*starts, done])))
        raise
    return starts


def _log(specification: dict[str, Any], event: str) -> None:
    line = f"{event} {specification['number']}\n".encode()
    descriptor = os.open(specification["log"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, line)
    os.close(descriptor)
