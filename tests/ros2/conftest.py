"""These tests need rclpy and an installed, sourced l0_surgical: `colcon test` has both."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_observer import Observer

from tests.hil.shared_machine import write_limits


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Observer]:
    pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
    packages = pytest.importorskip("ament_index_python.packages")
    if "l0_surgical" not in packages.get_packages_with_prefixes():
        pytest.skip(
            "l0_surgical is not installed in a sourced workspace: colcon build, then source "
            "install/setup.bash"
        )
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
    return write_limits(tmp_path)
