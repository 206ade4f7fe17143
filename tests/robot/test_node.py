"""What a node's process does with signals and parameters. Without ROS: a few lines stand for rclpy;
tests/ros2 has the real one."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest

from l0_surgical.robot.node import REPEAT_S, NodeParameter, parameter_values
from l0_surgical.system.bounds import Bound
from l0_surgical.system.errors import BadInputError

RCLPY = {
    "__init__.py": "is_open = False\ndef init(**options): global is_open; is_open = True\n"
    "def ok(): return is_open\ndef shutdown(): global is_open; is_open = False\n",
    "executors.py": "import time\nclass ExternalShutdownException(Exception): pass\nclass "
    "SingleThreadedExecutor:\n"
    "    def add_node(self, node): pass\n    def shutdown(self): pass\n    def spin_once(self, "
    "timeout_sec): time.sleep(timeout_sec)\n",
    "signals.py": "class SignalHandlerOptions: NO = 0\n",
}
NODE = """import sys, time
from l0_surgical.robot.node import run_node
class Node:
    def __init__(self): print("ready", flush=True)
    def close(self): print("closing", flush=True); time.sleep(float(sys.argv[1])); print("closed", flush=True)
    def destroy_node(self): pass
sys.exit(run_node(Node))
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[[float], subprocess.Popen]]:
    """Starts a node that takes so long to close."""
    (tmp_path / "rclpy").mkdir()
    for name, text in RCLPY.items():
        (tmp_path / "rclpy" / name).write_text(text, encoding="utf-8")
    started: list[subprocess.Popen] = []

    def start(closing_s: float) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), *filter(None, sys.path)))}
        command = [sys.executable, "-c", NODE, str(closing_s)]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("numbers", [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGINT", "SIGINT"]], ids="-".join)
def test_a_signal_closes_the_node_also_when_launch_repeats_it(
    node: Callable[[float], subprocess.Popen], numbers: list[str]
) -> None:
    process = node(0.3)
    for number in numbers:
        process.send_signal(signal.Signals[number])
        time.sleep(0.1)
    output, said = process.communicate(timeout=30)
    assert (process.returncode, output, said) == (0, "closing\nclosed\n", "")


@pytest.mark.parametrize(
    ("number", "code"), [("SIGINT", 130), ("SIGTERM", -signal.SIGTERM), ("SIGHUP", -signal.SIGHUP)]
)
def test_a_second_signal_ends_a_node_that_does_not_close(
    node: Callable[[float], subprocess.Popen], number: str, code: int
) -> None:
    process = node(600)
    process.send_signal(signal.Signals[number])
    assert process.stdout.readline() == "closing\n"
    time.sleep(REPEAT_S + 0.2)
    process.send_signal(signal.Signals[number])
    output, said = process.communicate(timeout=30)
    assert (process.returncode, output) == (code, "")
    assert "Traceback" not in said


PARAMETERS = (
    NodeParameter("arm", "PSM1", "The arm's name."),
    NodeParameter("goals", 10, "How many.", kind=Annotated[int, Bound(0, 100)]),
    NodeParameter("timeout", 20.0, "Seconds.", kind=Annotated[float, Bound(above=0)]),
    NodeParameter("rate", 100.0, "Per second."),
    NodeParameter("inject", False, "Faults."),
)
GOOD = {"arm": "PSM2", "goals": 0, "timeout": 3, "rate": 50.0, "inject": True}


def values_of(values: dict[str, object]) -> dict[str, object]:
    return parameter_values(
        SimpleNamespace(get_parameter=lambda name: SimpleNamespace(value=values[name])), PARAMETERS
    )


def test_parameters_of_a_launch_file_have_their_defaults_types() -> None:
    values = values_of(GOOD)
    assert values == GOOD
    assert type(values["timeout"]) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("goals", value) for value in (-1, 101, 2.0, True, "3")),
        *(("timeout", value) for value in (0.0, -1, math.nan, math.inf, "fast", True)),
        *(("rate", value) for value in (math.nan, "fast", None)),
        ("arm", 3),
        ("inject", 1),
    ],
)
def test_a_bad_parameter_is_named_with_its_value(name: str, value: object) -> None:
    with pytest.raises(BadInputError) as refused:
        values_of(GOOD | {name: value})
    assert str(refused.value).startswith(f"parameter {name} {value!r}: pass ")
