"""The simulated arm on DDS under the dVRK's own client: crtk_python_client on rclpy, where both are
installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l0_surgical.robot.simulated_arm.process import arm_beside

NEEDED = ("rclpy", "crtk_msgs", "PyKDL", "crtk")


def test_the_crtk_client_commands_it_like_a_real_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs a sourced ROS 2 with crtk_python_client; missing: {', '.join(missing)}")
    if os.environ.get("RMW_IMPLEMENTATION") != "rmw_cyclonedds_cpp":
        pytest.skip("needs RMW_IMPLEMENTATION=rmw_cyclonedds_cpp")
    domain, arm = str(100 + os.getpid() % 100), f"PSM{os.getpid()}"
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    command = [sys.executable, str(Path(__file__).with_name("crtk_client.py")), arm]
    with arm_beside("--arm", arm, "--domain", domain):
        client = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert client.stdout, client.stderr
    results = json.loads(client.stdout)
    for answer in (
        "enabled",
        "homed",
        "homing_is_over",
        "homed_again",
        "moved_jr",
        "moved_cp",
        "unhomed",
        "disabled",
        "enabled_again",
    ):
        assert results[answer] is True, answer
    assert results["moves_of_no_length"] == [True] * 5
    assert results["joints"] == pytest.approx([0.1, 0, 0.13, 0, 0, 0], abs=1e-9)
    assert results["x"] == pytest.approx(results["goal_x"], abs=1e-9)
    assert results["local_x"] == pytest.approx(results["x"], abs=1e-9)
    assert results["jaw"] == pytest.approx([0.5])
    assert results["force"] == [0.0] * 6
    assert results["jacobians"] == [[6, 6], [6, 6]]
