"""The hardware-in-the-loop suite's own manners: it does not touch a real arm unasked, and what it does at one works at a simulated one."""

import os
import random
import subprocess
import sys
from pathlib import Path

from l0_surgical.simulation import arm_beside

ROOT = Path(__file__).parents[1]


def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/hil", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False
    )


def test_a_real_arm_is_not_touched_without_a_confirmation() -> None:
    for given in ((), ("--confirm", "PSM2")):
        ended = run_suite("--real", "--arm", "PSM1", "--domain", "9", *given)
        assert ended.returncode == 2
        assert "PSM1 will be enabled, homed and moved at 25% of the policy's speed" in ended.stdout
        assert "not confirmed. Type the arm's name when asked, or give --confirm PSM1" in ended.stdout
        assert " passed" not in ended.stdout


def test_what_is_done_at_a_real_arm_works(tmp_path: Path) -> None:
    """Faults are then made on this side of the network: a simulated arm that cannot be told to have any takes the real one's place."""
    domain = str(random.Random(os.getpid()).randrange(1, 20))
    with arm_beside("--arm", "PSM2", "--domain", domain):
        ended = run_suite(
            "--real", "--arm", "PSM2", "--domain", domain, "--confirm", "PSM2", "-k", "slow_move or nan or pause or freeze or kill"
        )
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert "3 passed, 1 skipped" in ended.stdout
