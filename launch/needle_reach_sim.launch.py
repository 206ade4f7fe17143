"""Everything on one machine: a simulated arm, the policy, and an operator who arms it and sets goals.

ros2 launch l0_surgical needle_reach_sim.launch.py goals:=10
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# name, default, what `ros2 launch --show-args` says of it
ARM = (("arm", "PSM1", "the arm's ROS namespace"),)
REAL_TIME = (("real_time", True, "ask for real-time priority and locked memory"),)
SIMULATION = (
    ("mode", "kinematic", "kinematic: setpoints are reached at once; physical: motors and lag"),
    ("telemetry_rate", 100.0, "how often per second the simulated arm says where it is"),
)
OPERATOR = (
    ("goals", 10, "how many goals to reach before everything ends; 0: never ends"),
    ("seed", 0, "of the goals"),
)
POLICY = (("policy", "needle-reach-l0-compressed", "a shipped policy's name or a policy file"),)
CONTROL = (
    ("servo_rate", 200.0, "setpoints sent to the arm per second, 100 to 500"),
    ("speed", 1.0, "fraction of the policy's own speed, above 0 and at most 1"),
    ("limits_file", "", "a YAML file of safety limits; empty: those of the package"),
    ("record", "", "a new .mcap file to record to; empty: no recording"),
)
NETWORK = (
    (
        "discovery",
        "",
        "ROS_AUTOMATIC_DISCOVERY_RANGE: LOCALHOST or SUBNET; empty: as the environment has it, else "
        "LOCALHOST",
    ),
)
ARGUMENTS = (*ARM, *POLICY, *CONTROL, *REAL_TIME, *SIMULATION, *OPERATOR, *NETWORK)


def generate_launch_description() -> LaunchDescription:
    arm = LaunchConfiguration("arm")
    simulated_arm = Node(
        package="l0_surgical",
        executable="psm_sim_node",
        name="psm_sim_node",
        namespace=arm,
        parameters=[_parameters((*ARM, *REAL_TIME, *SIMULATION))],
        output="screen",
    )
    policy_launch = PathJoinSubstitution(
        [FindPackageShare("l0_surgical"), "launch", "needle_reach_dvrk.launch.py"]
    )
    policy = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(policy_launch),
        launch_arguments=[
            (name, LaunchConfiguration(name))
            for name, _, _ in (*ARM, *POLICY, *CONTROL, *REAL_TIME, *NETWORK)
        ],
    )
    operator = Node(
        package="l0_surgical",
        executable="operator_node",
        name="operator_node",
        namespace=arm,
        parameters=[_parameters((*ARM, *POLICY, *OPERATOR))],
        output="screen",
    )
    end = RegisterEventHandler(OnProcessExit(on_exit=_end))
    arguments = (
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, default, text in ARGUMENTS
    )
    # the policy's launch file sets the discovery of all that is started after it
    return LaunchDescription([*arguments, policy, simulated_arm, operator, end])


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    if context.is_shutdown:
        return []
    if event.returncode:
        # an exception is the only way to a return code of `ros2 launch` other than 0
        raise RuntimeError(
            f"{event.process_name} has ended with the return code {event.returncode}; see what it said"
        )
    return (
        [EmitEvent(event=Shutdown(reason="the operator is done"))]
        if event.process_name.startswith("operator_node")
        else []
    )


def _parameters(arguments: tuple[tuple[str, str | float | int, str], ...]) -> dict[str, ParameterValue]:
    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=type(default))
        for name, default, _ in arguments
    }
