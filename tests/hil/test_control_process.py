"""The command as a process: signals, a kill, a policy file that is replaced. At a simulated arm only: they
begin without a question."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Setup, Witness
from shared_machine import write_limits

from l0_surgical.policy import find_policy
from l0_surgical.robot.control.audit import audit
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.messaging.recording import read_recording
from l0_surgical.robot.messaging.transport import TELEMETRY


@pytest.fixture(autouse=True)
def only_simulated(setup: Setup) -> None:
    if setup.is_real:
        pytest.skip("only at a simulated arm")


@pytest.fixture
def witness(setup: Setup) -> Iterator[Witness]:
    witness = Witness(setup)
    yield witness
    witness.close()


@pytest.fixture
def limits_file(tmp_path: Path, setup: Setup) -> Path:
    """The package's limits with those of the computer widened for a shared machine."""
    path = write_limits(tmp_path)
    assert load_limits(path) == setup.limits()
    return path


class Control:
    """`l0-surgical control` as a process."""

    def __init__(self, setup: Setup, folder: Path, limits: Path, policy: str | Path, *options: str) -> None:
        self.recording = folder / f"{time.monotonic_ns()}.mcap"
        command = [
            sys.executable,
            "-m",
            "l0_surgical",
            "control",
            str(policy),
            *setup.where(),
            "--record",
            str(self.recording),
        ]
        command += ["--limits", str(limits), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, timeout_s: float = 120.0) -> tuple[int, dict | None, str]:
        """Its exit code, its JSON object (None where there is none) and what it said to a person."""
        output, said = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, json.loads(output) if output else None, said


@pytest.fixture
def start(setup: Setup, tmp_path: Path, limits_file: Path) -> Iterator[Callable[..., Control]]:
    """Starts a controller, which does not outlive the test."""
    with contextlib.ExitStack() as started:

        def start(*options: str, policy: str | Path = "needle-reach-l0-compressed") -> Control:
            control = Control(setup, tmp_path, limits_file, policy, *options)
            started.callback(control.process.wait)
            started.callback(control.process.kill)
            return control

        yield start


def assert_recording_is_clean(control: Control, setup: Setup, limits: Path) -> int:
    """Returns how many commands it shows."""
    found = audit(read_recording(control.recording), setup.arm, load_limits(limits))
    assert found.violations == []
    return found.commands


@contextlib.contextmanager
def telemetry(setup: Setup) -> Iterator[object]:
    transport = setup.open("ear")
    ear = transport.subscription(f"/{setup.arm}/measured_cp", PoseStamped, TELEMETRY)
    yield lambda: [Pose.of(received.record) for received in ear.take()]
    transport.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(
    setup: Setup, start: Callable[..., Control], limits_file: Path, witness: Witness, number: signal.Signals
) -> None:
    control = start("--goals", "50")
    witness.wait_for(300)
    control.process.send_signal(number)
    code, result, said = control.end()
    assert code == 130, said
    assert result["interrupted_by"] == number.name
    assert (result["failure"], result["faults"]) == (None, [])
    assert "topics have found their peer" in said
    assert "Traceback" not in said
    commands = assert_recording_is_clean(control, setup, limits_file)
    assert commands == result["setpoints"]
    # the first of them may have been sent before the witness was discovered
    heard = witness.settle()
    recorded = [
        record for topic, _, record in read_recording(control.recording) if topic == f"/{setup.arm}/servo_cp"
    ]
    assert 300 <= heard <= len(recorded)
    assert witness.heard == recorded[-heard:]


def test_a_kill_leaves_the_arm_holding_and_a_restart_works(
    setup: Setup, start: Callable[..., Control], tmp_path: Path, limits_file: Path, witness: Witness
) -> None:
    control = start("--goals", "50")
    witness.wait_for(500)
    control.process.kill()
    control.end()
    time.sleep(0.2)
    sent = witness.listen()
    with telemetry(setup) as poses:
        time.sleep(0.7)
        held = poses()
    assert len(held) > 20
    assert max(pose.distance_to(held[0]) for pose in held) < 0.0005
    assert held[0].distance_to(Pose.of(witness.heard[-1])) < 0.0005
    assert witness.listen() == sent
    # what had reached the disk can be read, and is clean
    assert 0 < assert_recording_is_clean(control, setup, limits_file) <= sent

    again = start("--goals", "1")
    code, result, said = again.end()
    assert code == 0, said
    assert (result["reached"], result["faults"]) == (1, [])
    assert_recording_is_clean(again, setup, limits_file)


def test_the_policy_file_is_replaced_while_it_runs(
    setup: Setup, start: Callable[..., Control], tmp_path: Path, limits_file: Path, witness: Witness
) -> None:
    policy = tmp_path / "policy.safetensors"
    shutil.copy(find_policy("needle-reach-l0-compressed"), policy)
    control = start("--goals", "2", policy=policy)
    witness.wait_for(100)
    (tmp_path / "other").write_bytes(b"not a policy at all")
    (tmp_path / "other").replace(policy)
    code, result, said = control.end()
    assert code == 0, said
    assert result["reached"] == 2
    assert len(result["warnings"]) == 1
    assert "has changed; this goes on with the one it loaded" in result["warnings"][0]
    assert result["warnings"][0] in said
    assert_recording_is_clean(control, setup, limits_file)


def test_a_second_controller_is_refused_while_the_first_one_goes_on(
    setup: Setup, start: Callable[..., Control], limits_file: Path, witness: Witness
) -> None:
    first = start("--goals", "50")
    witness.wait_for(300)
    second = start("--timeout", "2")
    code, result, said = second.end()
    assert code == 1
    assert "somebody else " in result["failure"]
    assert result["failure"] in said.splitlines()[-1]
    assert result["setpoints"] == 0
    witness.wait_for(100)
    first.process.terminate()
    code, result, said = first.end()
    assert code == 130, said
    assert result["faults"] == []
    assert assert_recording_is_clean(first, setup, limits_file) == result["setpoints"]


def test_a_dry_run_sends_nothing(
    setup: Setup, start: Callable[..., Control], tmp_path: Path, limits_file: Path, witness: Witness
) -> None:
    control = start("--duration", "4", "--dry-run")
    code, result, said = control.end()
    assert code == 0, said
    assert result["dry_run"] is True
    assert result["setpoints"] > 100
    assert witness.listen() == 0
    topics = [topic for topic, _, _ in read_recording(control.recording)]
    assert topics.count(f"/{setup.arm}/l0_surgical/dry_run_servo_cp") == result["setpoints"]
    assert f"/{setup.arm}/servo_cp" not in topics


def test_without_an_arm_it_says_who_is_missing(setup: Setup, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "l0_surgical",
        "control",
        "needle-reach-l0-compressed",
        "--arm",
        "PSM9",
        "--timeout",
        "2",
        "--json",
    ]
    environment = os.environ | {"ROS_DOMAIN_ID": str(setup.domain)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert ended.returncode == 1
    assert "PSM9: 0 of 12 topics have found their peer; nobody on: /PSM9/measured_js" in ended.stderr
    assert "waited 2 s in vain for the arm's operating state" in ended.stderr.splitlines()[-1]
    assert json.loads(ended.stdout)["setpoints"] == 0
