"""The policy at a dVRK arm, real or simulated by the dVRK, that is already running. The arm stays disarmed
until an operator arms it.

ros2 launch l0_surgical needle_reach_dvrk.launch.py arm:=PSM1
ros2 service call /PSM1/policy_node/arm std_srvs/srv/Trigger
"""

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# name, default, what `ros2 launch --show-args` says of it
ARGUMENTS = (
    ("arm", "PSM1", "the arm's ROS namespace"),
    ("policy", "needle-reach-l0-compressed", "a shipped policy's name or a policy file"),
    ("servo_rate", 200.0, "setpoints sent to the arm per second, 100 to 500"),
    ("speed", 1.0, "fraction of the policy's own speed, above 0 and at most 1"),
    ("limits_file", "", "a YAML file of safety limits; empty: those of the package"),
    ("dry_run", False, "true: compute and record, but send nothing to the arm"),
    ("record", "", "a new .mcap file to record to; empty: no recording"),
    ("real_time", True, "ask for real-time priority and locked memory"),
)

NETWORK = (
    (
        "discovery",
        "",
        "ROS_AUTOMATIC_DISCOVERY_RANGE: LOCALHOST or SUBNET; empty: as the environment has it, else "
        "LOCALHOST",
    ),
    (
        "interface",
        "",
        "with SUBNET, the only network interface that is used (Cyclone DDS); empty: the middleware's choice",
    ),
)


def generate_launch_description() -> LaunchDescription:
    policy_node = Node(
        package="l0_surgical",
        executable="policy_node",
        name="policy_node",
        namespace=LaunchConfiguration("arm"),
        parameters=[
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=type(default))
                for name, default, _ in ARGUMENTS
            },
            # configured and active at once: the servo loop runs, disarmed
            {"autostart": True},
        ],
        output="screen",
    )
    arguments = (
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, default, text in ARGUMENTS + NETWORK
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=_network), policy_node])


def _network(context: LaunchContext) -> list[Action]:
    discovery, interface = (LaunchConfiguration(name).perform(context) for name, _, _ in NETWORK)
    discovery = discovery.upper() or context.environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    environment = {"ROS_AUTOMATIC_DISCOVERY_RANGE": discovery}
    if interface:
        if discovery != "SUBNET" or context.environment.get("RMW_IMPLEMENTATION") != "rmw_cyclonedds_cpp":
            raise RuntimeError(
                f"interface {interface!r} needs discovery:=SUBNET and RMW_IMPLEMENTATION=rmw_cyclonedds_cpp"
            )
        general = f'<General><Interfaces><NetworkInterface name="{interface}"/></Interfaces></General>'
        environment["CYCLONEDDS_URI"] = f"<CycloneDDS><Domain>{general}</Domain></CycloneDDS>"
    return [SetEnvironmentVariable(name, value) for name, value in environment.items()]
