"""The topics of a dVRK arm under CRTK (sawIntuitiveResearchKit 2.4): one table for the client and for the
simulated arm."""

import re
from dataclasses import dataclass

from l0_surgical.robot.control import records
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging.transport import COMMAND, EVENT, TELEMETRY, Qos
from l0_surgical.system.errors import BadInputError

_LONGEST_NAME = 64  # ROS allows 255 characters for a whole topic
_ARM_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{_LONGEST_NAME - 1}}}")


@dataclass(frozen=True)
class Topic:
    """A topic below the arm's name, what it carries and the quality of service on the arm's side."""

    record: type[Record]
    qos: Qos


def _topics(names: str, record: type[Record], qos: Qos) -> dict[str, Topic]:
    return {name: Topic(record, qos) for name in names.split()}


PUBLISHED: dict[str, Topic] = {
    **_topics(
        "measured_js setpoint_js jaw/measured_js jaw/setpoint_js gravity_compensation/setpoint_js",
        records.JointState,
        TELEMETRY,
    ),
    **_topics("measured_cp setpoint_cp local/measured_cp local/setpoint_cp", records.PoseStamped, TELEMETRY),
    **_topics("measured_cv local/measured_cv", records.TwistStamped, TELEMETRY),
    **_topics("body/measured_cf spatial/measured_cf", records.WrenchStamped, TELEMETRY),
    **_topics("body/jacobian spatial/jacobian", records.Float64MultiArray, TELEMETRY),
    **_topics("operating_state", records.OperatingState, EVENT),
    **_topics("desired_state error warning status tool_type", records.String, EVENT),
    **_topics("goal_reached", records.Bool, EVENT),
    **_topics("trajectory_j/ratio trajectory_j/ratio_v trajectory_j/ratio_a", records.Float64, EVENT),
    **_topics("arm_clutch", records.Joy, EVENT),
    **_topics("tool_type_request", records.Empty, EVENT),
}
"""What the arm publishes.

Left out, as nothing here reads them: the /stats topics (cisst_msgs) and TF. The arm's measured_cs,
setpoint_cv and local/setpoint_cv are no
topics: cisst-ros 4.0 does not carry them.
"""

SUBSCRIBED: dict[str, Topic] = {
    **_topics(
        "servo_jp servo_jr servo_jf move_jp move_jr jaw/servo_jp jaw/move_jp jaw/servo_jf",
        records.JointState,
        COMMAND,
    ),
    **_topics("servo_cp move_cp set_base_frame", records.PoseStamped, COMMAND),
    **_topics("servo_cs", records.CartesianState, COMMAND),
    **_topics("servo_ci", records.CartesianImpedance, COMMAND),
    **_topics("body/servo_cf spatial/servo_cf", records.WrenchStamped, COMMAND),
    **_topics("hold free", records.Empty, COMMAND),
    **_topics("state_command", records.StringStamped, COMMAND),
    **_topics(
        "trajectory_j/set_ratio trajectory_j/set_ratio_v trajectory_j/set_ratio_a", records.Float64, COMMAND
    ),
    **_topics(
        "use_gravity_compensation emulate_tool_present emulate_adapter_present "
        "body/set_cf_orientation_absolute",
        records.Bool,
        COMMAND,
    ),
    **_topics("set_tool_type", records.String, COMMAND),
}
"""What the arm subscribes to: each moves it, changes how it moves or in which frame, or lets go of it."""

SYSTEM_TOPICS = {"enable": "/system/power_on", "home": "/system/home", "disable": "/system/power_off"}
"""The dVRK's own way (2.4; before it /console/*) to give state commands (std_msgs/Empty) to all arms, for
clients without crtk_msgs."""


def check_arm_name(name: str) -> None:
    """Raises BadInputError for a name that no ROS topic could begin with."""
    if not isinstance(name, str) or not _ARM_NAME.fullmatch(name):
        shown = repr(name) if len(repr(name)) < 80 else f"{repr(name)[:60]}..."
        raise BadInputError(
            f"the arm's name is {shown}; it must be of letters, digits and _, at most {_LONGEST_NAME}, e.g. "
            "PSM1"
        )


def topic_name(arm: str, name: str) -> str:
    """The full ROS name of an arm's topic: ("PSM1", "measured_cp") gives "/PSM1/measured_cp"."""
    return f"/{arm.strip('/')}/{name}"
