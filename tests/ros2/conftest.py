"""These tests need rclpy and an installed, sourced l0_surgical: `colcon test` has both."""

import os
from collections.abc import Iterator

import pytest
from ros_observer import Observer


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
