"""The nodes and launch files on a real ROS 2: lifecycle, services, errors, signals, and the whole simulation."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ros_observer import Observer, diagnostics_of

NODE = "/PSM1/policy_node"


def start_policy_node(observer: Observer, **parameters: str) -> Any:
    options = [option for name, value in parameters.items() for option in ("-p", f"{name}:={value}")]
    return observer.start("ros2", "run", "l0_surgical", "policy_node", "--ros-args", "-r", "__ns:=/PSM1", *options)


def transition(observer: Observer, label: str) -> bool:
    from lifecycle_msgs.srv import ChangeState

    request = ChangeState.Request()
    request.transition.label = label
    return observer.call(ChangeState, f"{NODE}/change_state", request).success


def state(observer: Observer) -> str:
    from lifecycle_msgs.srv import GetState

    return observer.call(GetState, f"{NODE}/get_state", GetState.Request()).current_state.label


def trigger(observer: Observer, name: str) -> Any:
    from std_srvs.srv import Trigger

    return observer.call(Trigger, f"{NODE}/{name}", Trigger.Request())


def set_parameter(observer: Observer, name: str, value: str) -> Any:
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return observer.call(SetParameters, f"{NODE}/set_parameters", request).results[0]


def test_the_lifecycle_of_the_policy_node(observer: Observer) -> None:
    process = start_policy_node(observer)
    assert state(observer) == "unconfigured"
    assert "not active" in trigger(observer, "arm").message
    assert set_parameter(observer, "policy", "no-such-policy").successful
    assert not transition(observer, "configure")
    assert state(observer) == "unconfigured"
    assert set_parameter(observer, "policy", "needle-reach-dense").successful
    assert transition(observer, "configure")
    assert state(observer) == "inactive"
    refused = set_parameter(observer, "arm", "PSM2")
    assert (refused.successful, "clean the node up" in refused.reason) == (False, True)
    assert transition(observer, "activate")
    # there is no arm
    answer = trigger(observer, "arm")
    assert not answer.success
    assert answer.message
    assert transition(observer, "deactivate")
    assert transition(observer, "cleanup")
    assert state(observer) == "unconfigured"
    assert transition(observer, "configure")
    assert transition(observer, "activate")
    assert state(observer) == "active"
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert "no-such-policy is neither a file nor a shipped policy" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"policy": "no-such-policy"}, "no-such-policy is neither a file nor a shipped policy"),
        ({"servo_rate": "fast"}, "parameter servo_rate is 'fast'; pass a number such as 200.0"),
        ({"dry_run": "3"}, "parameter dry_run"),
    ],
)
def test_bad_input_ends_an_autostarted_node_with_one_line(observer: Observer, parameters: dict[str, str], message: str) -> None:
    process = start_policy_node(observer, autostart="true", **parameters)
    output, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert [line for line in output.splitlines() if message in line]
    assert "Traceback" not in output


def test_the_simulation_reaches_its_goals(observer: Observer, tmp_path: Path) -> None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from std_msgs.msg import Bool

    from l0_surgical.messaging.recording import read_recording

    diagnostics: list[DiagnosticArray] = []
    outcomes: list[bool] = []
    observer.node.create_subscription(DiagnosticArray, "/diagnostics", lambda message: diagnostics.append(message), 10)
    observer.node.create_subscription(Bool, f"{NODE}/goal_reached", lambda message: outcomes.append(message.data), 10)
    recording = tmp_path / "simulation.mcap"
    process = observer.start("ros2", "launch", "l0_surgical", "needle_reach_sim.launch.py", "goals:=3", f"record:={recording}")
    observer.wait(lambda: process.poll() is not None, "the simulation to end", timeout_s=90)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "goal 3: 3 of 3 reached" in output
    assert outcomes == [True] * 3
    statuses = diagnostics_of(diagnostics, NODE)
    assert {status.level for status in statuses} <= {DiagnosticStatus.OK, DiagnosticStatus.STALE}
    assert statuses[-1].hardware_id == "PSM1"
    commands = [record for topic, _, record in read_recording(recording) if topic == "/PSM1/servo_cp"]
    assert len(commands) > 100
    assert {command.frame_id for command in commands} == {"PSM1_base"}
