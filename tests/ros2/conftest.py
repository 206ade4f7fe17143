"""These tests need rclpy and an installed, sourced l0_surgical: `colcon test` has both."""

import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from ros_observer import Observer

# a machine that runs other tests beside this one is no robot's computer
SHARED_MACHINE = {"max_loop_gap_s": 0.5, "max_age_s": 0.4, "max_stamp_age_s": 0.5, "max_tracking_error_m": 0.02, "max_jump_m": 0.015}


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Observer]:
    pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
    packages = pytest.importorskip("ament_index_python.packages")
    if "l0_surgical" not in packages.get_packages_with_prefixes():
        pytest.skip("l0_surgical is not installed in a sourced workspace: colcon build, then source install/setup.bash")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.delenv("ROS_LOCALHOST_ONLY", raising=False)
    observer = Observer(domain=1 + os.getpid() % 100)
    yield observer
    observer.close()


@pytest.fixture
def simulator() -> None:
    """For tests with a simulated arm."""
    for package in ("gymnasium", "pybullet"):
        pytest.importorskip(package, reason="the simulated arm needs it")


@pytest.fixture
def limits_file(tmp_path: Path) -> Path:
    """The package's limits with those of the computer widened."""
    text = resources.files("l0_surgical.control").joinpath("limits.yaml").read_text(encoding="utf-8")
    for name, value in SHARED_MACHINE.items():
        text = re.sub(f"(?m)^{name}: .*$", f"{name}: {value}", text)
    path = tmp_path / "limits.yaml"
    path.write_text(text, encoding="utf-8")
    return path
