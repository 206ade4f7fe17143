"""The nodes and launch files on a real ROS 2: lifecycle, services, errors, signals, and the whole
simulation."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from ros_observer import Observer, diagnostics_of

NODE = "/PSM1/policy_node"
GOAL = (0.0591, 0.0392, -0.1653)


def start_policy_node(observer: Observer, **parameters: str) -> Any:
    options = [option for name, value in parameters.items() for option in ("-p", f"{name}:={value}")]
    return observer.start(
        "ros2", "run", "l0_surgical", "policy_node", "--ros-args", "-r", "__ns:=/PSM1", *options
    )


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
        ({"servo_rate": "fast"}, "parameter servo_rate 'fast': pass a finite number"),
        ({"servo_rate": "1000"}, "parameter servo_rate 1000: pass a finite number"),
        ({"speed": ".nan"}, "parameter speed nan: pass a finite number"),
        ({"arm": "PSM-1"}, "the arm's name is 'PSM-1'"),
        ({"dry_run": "3"}, "parameter dry_run"),
    ],
)
def test_bad_input_ends_an_autostarted_node_with_one_line(
    observer: Observer, parameters: dict[str, str], message: str
) -> None:
    process = start_policy_node(observer, autostart="true", **parameters)
    output, _ = process.communicate(timeout=20)
    assert process.returncode != 0
    assert [line for line in output.splitlines() if message in line]
    assert "Traceback" not in output


@pytest.mark.usefixtures("simulator")
def test_the_simulation_reaches_its_goals(observer: Observer, tmp_path: Path, limits_file: Path) -> None:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from std_msgs.msg import Bool

    from l0_surgical.policy import find_policy
    from l0_surgical.robot.messaging.recording import read_recording

    diagnostics: list[DiagnosticArray] = []
    outcomes: list[bool] = []
    observer.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: diagnostics.append(message), 10
    )
    observer.node.create_subscription(
        Bool, f"{NODE}/goal_reached", lambda message: outcomes.append(message.data), 10
    )
    recording, policy = tmp_path / "simulation.mcap", tmp_path / "policy.safetensors"
    shutil.copy(find_policy("needle-reach-l0-compressed"), policy)
    arguments = ("goals:=3", f"record:={recording}", f"policy:={policy}", f"limits_file:={limits_file}")
    process = observer.start("ros2", "launch", "l0_surgical", "needle_reach_sim.launch.py", *arguments)
    observer.wait(lambda: outcomes, "the first goal", timeout_s=60)
    # the node goes on with the policy that it has loaded
    policy.write_bytes(b"")
    observer.wait(lambda: process.poll() is not None, "the simulation to end", timeout_s=60)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "goal 3: 3 of 3 reached" in output
    assert output.count(f"the policy file {policy} has changed") == 1
    assert outcomes == [True] * 3
    statuses = diagnostics_of(diagnostics, NODE)
    assert {status.level for status in statuses} <= {
        DiagnosticStatus.OK,
        DiagnosticStatus.WARN,
        DiagnosticStatus.STALE,
    }
    last = statuses[-1]
    values = {pair.key: pair.value for pair in last.values}
    assert last.hardware_id == "PSM1"
    assert (last.level, values["arm_state"]) == (DiagnosticStatus.WARN, "ENABLED, homed")
    assert 100 < int(values["controller.sent"]) <= int(values["controller.latency.count"])
    commands = [record for topic, _, record in read_recording(recording) if topic == "/PSM1/servo_cp"]
    assert len(commands) >= int(values["controller.sent"])
    assert {command.frame_id for command in commands} == {"PSM1_base"}


@pytest.mark.usefixtures("simulator")
def test_without_crtk_msgs_the_simulation_reaches_its_goal(
    observer: Observer, tmp_path: Path, limits_file: Path
) -> None:
    hidden = tmp_path / "crtk_msgs"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    observer.environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    arguments = ("goals:=1", f"limits_file:={limits_file}")
    process = observer.start("ros2", "launch", "l0_surgical", "needle_reach_sim.launch.py", *arguments)
    observer.wait(lambda: process.poll() is not None, "the simulation to end", timeout_s=60)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "goal 1: 1 of 1 reached" in output
    assert "/system/power_on" in output


@pytest.mark.usefixtures("simulator")
def test_a_node_that_fails_ends_the_whole_simulation(observer: Observer) -> None:
    process = observer.start(
        "ros2", "launch", "l0_surgical", "needle_reach_sim.launch.py", "policy:=no-such-policy"
    )
    observer.wait(lambda: process.poll() is not None, "the simulation to end", timeout_s=30)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "no-such-policy is neither a file nor a shipped policy" in output


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize("transport", ["ros2", "dds"])
def test_at_an_arm_nothing_moves_until_an_operator_arms(
    observer: Observer, limits_file: Path, transport: str
) -> None:
    """By hand: bring up, arm, goal, the arm dies. The arm of the other transport has no rclpy."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from geometry_msgs.msg import PointStamped, PoseStamped
    from std_msgs.msg import Bool

    crtk_msgs = pytest.importorskip("crtk_msgs.msg", reason="needs the ROS 2 package crtk_msgs")
    diagnostics: list[DiagnosticArray] = []
    outcomes: list[bool] = []
    setpoints: list[PoseStamped] = []
    observer.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: diagnostics.append(message), 10
    )
    observer.node.create_subscription(
        Bool, f"{NODE}/goal_reached", lambda message: outcomes.append(message.data), 10
    )
    observer.node.create_subscription(
        PoseStamped, "/PSM1/servo_cp", lambda message: setpoints.append(message), 100
    )
    commands = observer.node.create_publisher(crtk_msgs.StringStamped, "/PSM1/state_command", 10)
    goals = observer.node.create_publisher(PointStamped, f"{NODE}/goal", 1)
    arm = start_arm(observer, transport)
    launch = observer.start(
        "ros2", "launch", "l0_surgical", "needle_reach_dvrk.launch.py", f"limits_file:={limits_file}"
    )

    def value(key: str) -> str:
        statuses = diagnostics_of(diagnostics[-1:], NODE)
        return {pair.key: pair.value for pair in statuses[0].values}.get(key, "") if statuses else ""

    observer.wait(lambda: value("arm_state") == "DISABLED, not homed", "the arm's state in the diagnostics")
    assert not trigger(observer, "arm").success
    commands.publish(crtk_msgs.StringStamped(string="enable"))
    observer.wait(lambda: value("arm_state") == "ENABLED, not homed", "the arm to be enabled")
    commands.publish(crtk_msgs.StringStamped(string="home"))
    observer.wait(lambda: value("arm_state") == "ENABLED, homed", "the arm to home")
    observer.wait(lambda: trigger(observer, "arm").success, "the policy node to arm")
    assert setpoints == []
    observer.wait(lambda: goals.get_subscription_count() == 1, "the goal's subscription")
    goal = PointStamped()
    goal.point.x, goal.point.y, goal.point.z, goal.header.frame_id = *GOAL, "ECM"
    goals.publish(goal)
    observer.wait(lambda: outcomes == [False], "the refusal of another frame")
    goal.header.frame_id = "PSM1_base"
    goals.publish(goal)
    observer.wait(lambda: outcomes == [False, True], "the goal")
    assert len(setpoints) > 100
    os.killpg(arm.pid, signal.SIGKILL)
    observer.wait(
        lambda: diagnostics_of(diagnostics[-1:], NODE)[0].level == DiagnosticStatus.ERROR, "the fault"
    )
    assert re.search(r"measured_\w+ stopped", diagnostics_of(diagnostics[-1:], NODE)[0].message)
    assert "reset it first" in trigger(observer, "arm").message
    assert trigger(observer, "reset").message == "disarmed"
    os.killpg(launch.pid, signal.SIGINT)
    output, _ = launch.communicate(timeout=20)
    assert launch.returncode == 0
    assert "Traceback" not in output


def start_arm(observer: Observer, transport: str) -> Any:
    if transport == "ros2":
        return observer.start("ros2", "run", "l0_surgical", "psm_sim_node", "--ros-args", "-r", "__ns:=/PSM1")
    for package in ("cyclonedds", "tyro"):
        pytest.importorskip(package, reason="l0-surgical simulate-arm needs it")
    if not os.environ.get("RMW_IMPLEMENTATION", "").startswith("rmw_cyclonedds"):
        pytest.skip("needs RMW_IMPLEMENTATION=rmw_cyclonedds_cpp")
    domain = observer.environment["ROS_DOMAIN_ID"]
    return observer.start(sys.executable, "-m", "l0_surgical", "simulate-arm", "--domain", domain)
