"""The hardware-in-the-loop suite's own manners: it does not touch a real arm unasked, and what it does at one
works at a simulated one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import COMMAND
from l0_surgical.robot.simulated_arm.process import arm_beside

ROOT = Path(__file__).parents[1]


def run_suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "tests/hil",
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_real_arm_is_not_touched_without_a_confirmation() -> None:
    for given in ((), ("--confirm", "PSM2")):
        ended = run_suite("--real", "--arm", "PSM1", "--domain", "9", *given)
        assert ended.returncode == 2
        assert "PSM1 will be enabled, homed and moved at 25% of the policy's speed" in ended.stdout
        assert "not confirmed. Type the arm's name when asked, or give --confirm PSM1" in ended.stdout
        assert " passed" not in ended.stdout


def test_what_is_done_at_a_real_arm_works(tmp_path: Path) -> None:
    """Faults are then made on this side of the network: a simulated arm that cannot be told to have any takes
    the real one's place."""
    domain = str(random.Random(os.getpid()).randrange(1, 20))
    with arm_beside("--arm", "PSM2", "--domain", domain):
        ended = run_suite(
            "--real",
            "--arm",
            "PSM2",
            "--domain",
            domain,
            "--confirm",
            "PSM2",
            "-k",
            "slow_move or nan or pause or freeze or kill",
        )
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert "3 passed, 1 skipped" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_suite_that_is_ended_leaves_no_simulated_arm_behind(number: signal.Signals) -> None:
    domain = random.Random(os.getpid()).randrange(1, 20)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "tests/hil/test_goals_at_the_arm.py",
    ]
    command += ["--domain", str(domain)]
    with (
        DdsTransport(domain) as transport,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as suite,
    ):
        arm, ear = CrtkArm(transport), transport.subscription("/PSM1/servo_cp", PoseStamped, COMMAND)
        try:
            deadline = time.monotonic() + 60
            while not ear.take():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            suite.send_signal(number)
            assert suite.wait(30) == 2  # as after Ctrl-C
            # what ends in order leaves its topics at once; what is killed or goes on does not
            deadline = time.monotonic() + 5
            while arm.peers()["/PSM1/measured_cp"]:
                assert time.monotonic() < deadline, arm.describe_peers()
                time.sleep(0.05)
        finally:
            suite.kill()
