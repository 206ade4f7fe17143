"""The commands control and simulate-arm as far as no arm is needed; tests/hil has the rest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from l0_surgical.commands.main import main
from l0_surgical.robot import operation
from l0_surgical.robot.operation import Operation
from l0_surgical.robot.requests import ControlRequest
from l0_surgical.robot.simulated_arm.process import arm_beside
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import WatchedFile
from l0_surgical.system.process import resident_mib
from tests.hil.shared_machine import write_limits

POLICY = "needle-reach-l0-compressed"
DOMAIN = str(100 + os.getpid() % 80)  # of this process alone


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """Runs a command that must be refused with code 2, and returns its one line."""
    assert main([*map(str, arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    return output.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-policy"], "neither a file nor a shipped policy"),
        ([POLICY, "--servo-rate", "50"], "--servo-rate 50.0: "),
        ([POLICY, "--servo-rate", "nan"], "--servo-rate nan: "),
        ([POLICY, "--goals", "0"], "--goals 0: "),
        ([POLICY, "--goals", "1000000000000"], "--goals 1000000000000: "),
        ([POLICY, "--duration", "-1"], "--duration -1.0: "),
        ([POLICY, "--duration", "inf"], "--duration inf: "),
        ([POLICY, "--timeout", "0"], "--timeout 0.0: "),
        ([POLICY, "--timeout", "1e300"], "--timeout 1e+300: "),
        ([POLICY, "--seed", "-3"], "--seed -3: "),
        (
            [POLICY, "--goal", "nan", "0", "-0.12"],
            "the goal (nan, 0.0, -0.12) is not three finite numbers; give x y z in metres: the jaw's tip "
            "may be at x",
        ),
        (
            [POLICY, "--goal", "50", "60", "-120"],
            "x -0.0147 .. 0.1237, y -0.0037 .. 0.1347, z -0.1774 .. -0.0914 m in the arm's base frame",
        ),
        ([POLICY, "--goal", "50", "60", "-120"], "was it in millimetres? Then give 0.05 0.06 -0.12"),
        ([POLICY, "--goal", "0.06", "0.07", "-0.1685"], "outside the workspace of the limits"),
        ([POLICY, "--limits", "nowhere.yaml"], "cannot read the limits nowhere.yaml"),
        ([POLICY, "--transport", "carrier-pigeon"], "carrier-pigeon"),
        ([POLICY, "--limits", "/"], "cannot read the limits /: Is a directory"),
        ([POLICY, "--speed", "0"], "--speed 0.0: "),
        ([POLICY, "--speed", "nan"], "--speed nan: "),
        ([POLICY, "--arm", "PSM 1"], "the arm's name is 'PSM 1'"),
        ([POLICY, "--domain", "999"], "--domain 999: "),
        ([POLICY, "--domain", "-1"], "--domain -1: "),
        ([POLICY, "--record", "run.bag"], "give it the ending .mcap"),
        ([], "Missing"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the transport is opened: the arm hears nothing of it."""
    monkeypatch.setattr(
        operation, "open_transport", lambda *arguments: pytest.fail("the transport was opened")
    )
    assert says in refused(capsys, "control", *arguments, "--no-real-time")


def test_limits_that_the_goals_do_not_fit_are_refused_before_the_arm_moves(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write_limits(tmp_path)
    path.write_text(path.read_text().replace("-0.1572]", "-0.1500]"))
    line = refused(capsys, "control", POLICY, "--limits", path, "--domain", DOMAIN, "--no-real-time")
    assert "the task draws goals such as" in line
    assert "outside the workspace of the limits" in line
    assert "give one goal by --goal" in line
    path.write_text(path.read_text().replace("{arm}_base", "PSM2_base"))
    line = refused(capsys, "control", POLICY, "--limits", path, "--domain", DOMAIN, "--no-real-time")
    assert f"{path}: limits: base_frame 'PSM2_base': poses are in PSM1's own base" in line


def test_an_existing_recording_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(b"precious")
    line = refused(capsys, "control", POLICY, "--record", path, "--domain", DOMAIN, "--no-real-time")
    assert "exists already; it is not overwritten" in line
    assert path.read_bytes() == b"precious"


def test_a_policy_of_another_task_is_refused_before_the_transport_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        operation, "open_transport", lambda *arguments: pytest.fail("the transport was opened")
    )
    from example_policies import random_policy

    from l0_surgical.policy import save_policy

    save_policy(random_policy(), tmp_path / "other.safetensors")
    request = ControlRequest(str(tmp_path / "other.safetensors"), domain=int(DOMAIN), real_time=False)
    with pytest.raises(BadInputError, match="runs NeedleReach policies"):
        Operation(request, print)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--duration", "0"], "--duration 0.0: "),
        (["--duration", "1e300"], "--duration 1e+300: "),
        (["--speed", "-1"], "--speed -1.0: "),
        (["--speed", "nan"], "--speed nan: "),
        (["--speed", "1e9"], "--speed 1000000000.0: "),
        (["--telemetry-rate", "nan"], "--telemetry-rate nan: "),
        (["--arm", "PSM 1"], "the arm's name is 'PSM 1'"),
        (["--telemetry-rate", "1000"], "choose 1 to 400 Hz"),
        (["--mode", "magic"], "magic"),
    ],
)
def test_a_simulated_arm_that_cannot_be(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    assert says in refused(capsys, "simulate-arm", *arguments, "--domain", DOMAIN, "--no-real-time")


def test_a_simulated_arm_ends_after_its_duration_and_says_whom_it_has_found() -> None:
    command = [
        sys.executable,
        "-m",
        "l0_surgical",
        "simulate-arm",
        "--domain",
        DOMAIN,
        "--duration",
        "2.5",
        "--speed",
        "0",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert "PSM1 is simulated (kinematic), DISABLED and not homed" in ended.stderr
    assert "PSM1: 0 of 56 topics have found their peer" in ended.stderr


def test_an_arm_beside_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(BadInputError, match=r"did not start: .*choose 1 to 400 Hz"),
        arm_beside("--telemetry-rate", "0"),
    ):
        pass


def test_a_session_as_a_library(tmp_path: Path) -> None:
    """One goal, given by hand, at a speed of one half, at an arm with motors."""
    goal = (0.06, 0.07, -0.165)
    with arm_beside("--domain", DOMAIN, "--arm", "PSM3", "--mode", "physical"):
        said: list[str] = []
        how = {"speed": 0.5, "servo_rate": 100.0, "limits": write_limits(tmp_path), "real_time": False}
        request = ControlRequest(POLICY, "PSM3", domain=int(DOMAIN), goal=goal, **how)
        result = Operation(request, said.append).run()
    assert result["failure"] is None
    assert (result["goals"], result["reached"], result["success_rate"]) == (1, 1, 1.0)
    assert result["outcomes"][0]["goal_m"] == goal
    assert any("12 of 12 topics have found their peer" in line for line in said)
    assert "without real-time priority: not asked for" in said
    json.dumps(result)
    assert 20 < result["resident_mib"] < 4000


def test_a_watched_file(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_bytes(b"one")
    watched = WatchedFile(path)
    assert not watched.has_changed()
    (tmp_path / "other").write_bytes(b"two")
    (tmp_path / "other").replace(path)
    assert watched.has_changed()
    again = WatchedFile(path)
    time.sleep(0.02)
    path.write_bytes(b"six")
    assert again.has_changed()
    path.unlink()
    assert again.has_changed()
    assert resident_mib() > 5
