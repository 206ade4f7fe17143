"""The hardware-in-the-loop suite at an arm: connect, enable, home, a slow move, goals, each fault, and the
safe end.

ros2 launch l0_surgical needle_reach_hil.launch.py           # a simulated arm, which the suite starts itself
ros2 launch l0_surgical needle_reach_hil.launch.py real:=true confirm:=PSM1   # a real arm: docs/robot.md
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

# name, default, what `ros2 launch --show-args` says of it
ARGUMENTS = (
    ("arm", "PSM1", "the arm's ROS namespace"),
    ("transport", "ros2", "ros2 or dds"),
    ("real", False, "true: a real arm moves, at reduced speed"),
    ("confirm", "", "the arm's name: says that the real arm may move; this launch file cannot ask"),
)


def generate_launch_description() -> LaunchDescription:
    arguments = (
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, default, text in ARGUMENTS
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=_suite)])


def _suite(context: LaunchContext) -> list[Action]:
    arm, transport, real, confirm = (LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS)
    folder = PathJoinSubstitution([FindPackageShare("l0_surgical"), "tests", "hil"])
    command = [
        "python3",
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        folder,
        "--arm",
        arm,
        "--transport",
        transport,
    ]
    if real.lower() not in ("true", "false"):
        raise RuntimeError(f"real is {real!r}; give true or false")
    if real.lower() == "true":
        command += ["--real", "--confirm", confirm]
    suite = ExecuteProcess(cmd=command, output="screen")
    return [suite, RegisterEventHandler(OnProcessExit(target_action=suite, on_exit=_end))]


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    # an exception is the only way to a return code of `ros2 launch` other than 0
    if event.returncode:
        raise RuntimeError(f"the suite failed (pytest's return code {event.returncode})")
    return [EmitEvent(event=Shutdown(reason="the suite has passed"))]
