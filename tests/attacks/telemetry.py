"""Attacks by a second publisher of what the arm says: silent, the same, displaced, old, broken."""

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped
from tests.attacks.attack import Attack, Harmless, Notice, Phase
from tests.attacks.attacker import Attacker, bent, moved, stated
from tests.attacks.verbs import mimic, mimic_moved, silent_second_publisher

FOUND_S = 0.3  # until DDS has made a new publisher known
FOREVER_S = 30.0


def _second(
    name: str, does: str, topic: str, act: Callable[..., None], when: Phase = "reaching", **options: Any
) -> Attack:
    return Attack(name, does, when, act, Notice(topic, FOUND_S), **options)


def _mimic(name: str, does: str, topic: str, when: Phase = "reaching", **changes: Any) -> Attack:
    return _second(name, does, topic, partial(mimic, topic=topic, **changes), when)


def _displaced(name: str, does: str, *topics: str, when: Phase = "reaching", **how: Any) -> Attack:
    def act(a: Attacker) -> None:
        mimic_moved(a, *topics, **how)

    return _second(name, does, "|".join(topics), act, when)  # whichever is heard first


def _now(record: Any, _: float) -> Any:
    return dataclasses.replace(record, stamp_ns=time.time_ns())


def _states(a: Attacker, change: Callable[[OperatingState], OperatingState], lasting_s: float = 1.0) -> None:
    """operating_state by somebody else, at 100 Hz."""
    a.open("operating_state")
    known = OperatingState(time.time_ns(), "", "ENABLED", True, False)
    for _ in a.every(0.01, lasting_s):
        a.say("operating_state", change(stated(known)))


def _paused_and_spoofed(a: Attacker) -> None:
    """The arm is paused, and somebody else goes on to say that it is not."""
    a.open("operating_state")
    a.inject("pause")
    _states(a, lambda state: state)


def _open_jaw_and_spoof(a: Attacker) -> None:
    """The jaw is opened, and somebody else says that it is closed."""
    a.open("jaw/measured_js")
    a.say("jaw/servo_jp", JointState(time.time_ns(), "", ("jaw",), (1.0,)))
    a.mimic("jaw/measured_js", lambda jaw, _: dataclasses.replace(jaw, position=(0.0,)))


def _error_spam(a: Attacker) -> None:
    """Errors of 1 MB in the arm's name."""
    from l0_surgical.robot.control.records import String

    for _ in a.every(0.02, 2.0):
        a.say("error", String("help " * 200_000))


def _best_effort(a: Attacker, topic: str, record: PoseStamped) -> None:
    """A writer as of sensor data, which no reader of a dVRK's topics matches."""
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.qos import Policy, Qos
    from cyclonedds.topic import Topic

    from l0_surgical.robot.messaging.messages import sample, sample_class

    participant = DomainParticipant(a.domain)
    writer = DataWriter(
        participant,
        Topic(participant, f"rt/{a.arm_name}/{topic}", sample_class(PoseStamped)),
        Qos(Policy.Reliability.BestEffort),
    )
    a.begin()
    for _ in a.every(0.01, 2.0):
        writer.write(sample(record))


def _other_type(a: Attacker, name: str, fields: dict[str, Any], values: list[Any]) -> None:
    """Another layout on measured_cp, under a type's name."""
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.idl import make_idl_struct
    from cyclonedds.pub import DataWriter
    from cyclonedds.topic import Topic

    participant = DomainParticipant(a.domain)
    described = make_idl_struct("Other", name, fields)
    writer = DataWriter(participant, Topic(participant, f"rt/{a.arm_name}/measured_cp", described))
    a.begin()
    for _ in a.every(0.01, 2.0):
        writer.write(described(*values))


_POSE = PoseStamped(1, "PSM1_base", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
_NAN3, _INF4 = (math.nan, 0.0, -0.12), (math.inf, 0.0, 0.0, 0.0)

SILENT = [
    _second(
        f"silent_{topic.replace('/', '_')}",
        f"Somebody offers {topic} and says nothing.",
        topic,
        partial(silent_second_publisher, topic=topic),
    )
    for topic in (
        "measured_cp",
        "local/measured_cp",
        "measured_js",
        "setpoint_cp",
        "jaw/measured_js",
        "operating_state",
    )
]
SILENT += [
    _second(
        "silent_before",
        "Somebody offers measured_cp from before the arming.",
        "measured_cp",
        partial(silent_second_publisher, topic="measured_cp"),
        "before arming",
    ),
    _second(
        "silent_ready",
        "Somebody offers measured_cp before a goal is set.",
        "measured_cp",
        partial(silent_second_publisher, topic="measured_cp"),
        "ready",
    ),
]
POSES = [
    _mimic("cp_same", "measured_cp once more, with the same stamps and poses.", "measured_cp"),
    _second(
        "cp_same_own_stamps",
        "measured_cp once more with stamps of now.",
        "measured_cp",
        lambda a: a.mimic("measured_cp", _now),
    ),
    _displaced("cp_biased_4mm", "measured_cp once more, same stamps, 4 mm off.", "measured_cp", x_m=0.004),
    _displaced(
        "cp_biased_1ns_later",
        "measured_cp once more, 1 ns later, 4 mm off.",
        "measured_cp",
        x_m=0.004,
        later_ns=1,
    ),
    _displaced(
        "cp_growing_bias", "measured_cp once more, farther by 9 mm/s.", "measured_cp", x_m_per_s=0.009
    ),
    _displaced(
        "cp_and_setpoint_biased",
        "measured_cp and setpoint_cp once more, both 4 mm off.",
        "measured_cp",
        "setpoint_cp",
        x_m=0.004,
    ),
    _displaced(
        "cp_and_local_biased",
        "measured_cp and local/measured_cp once more, both 4 mm off.",
        "measured_cp",
        "local/measured_cp",
        x_m=0.004,
    ),
    _displaced("cp_jump_20mm", "measured_cp once more, 20 mm off.", "measured_cp", x_m=0.02),
    _mimic("cp_nan", "measured_cp once more, x no number.", "measured_cp", position=_NAN3),
    _mimic(
        "cp_inf_orientation",
        "measured_cp once more, an infinite orientation.",
        "measured_cp",
        orientation=_INF4,
    ),
    _mimic(
        "cp_zero_orientation",
        "measured_cp once more, an orientation of zeros.",
        "measured_cp",
        orientation=(0.0, 0.0, 0.0, 0.0),
    ),
    _mimic(
        "cp_1e308", "measured_cp once more, 1e308 m away.", "measured_cp", position=(1e308, -1e308, 1e308)
    ),
    _mimic("cp_wrong_frame", "measured_cp once more, in the frame ECM.", "measured_cp", frame_id="ECM"),
    _mimic(
        "cp_frame_almost_right",
        "measured_cp once more, its frame with a blank behind.",
        "measured_cp",
        frame_id="PSM1_base ",
    ),
    _mimic(
        "cp_frame_1_MB",
        "measured_cp once more, with a frame of 1 MB.",
        "measured_cp",
        frame_id="x" * 1_000_000,
    ),
    _mimic("cp_stamp_zero", "measured_cp once more, with a stamp of 0.", "measured_cp", stamp_ns=0),
    _second(
        "cp_stamp_10s_old",
        "measured_cp once more, 10 s old.",
        "measured_cp",
        lambda a: a.mimic("measured_cp", lambda pose, _: moved(pose, stamp_ns=pose.stamp_ns - 10**10)),
    ),
    _second(
        "cp_stamp_10s_ahead",
        "measured_cp once more, from in 10 s.",
        "measured_cp",
        lambda a: a.mimic("measured_cp", lambda pose, _: moved(pose, stamp_ns=pose.stamp_ns + 10**10)),
    ),
    _displaced("local_biased_4mm", "local/measured_cp once more, 4 mm off.", "local/measured_cp", x_m=0.004),
    _displaced(
        "setpoint_1mm_before",
        "setpoint_cp once more, 1.0 mm off, from before the arming.",
        "setpoint_cp",
        x_m=0.001,
        when="before arming",
    ),
    _displaced(
        "setpoint_1_3mm_before",
        "setpoint_cp once more, 1.3 mm off, from before the arming.",
        "setpoint_cp",
        x_m=0.0013,
        when="before arming",
    ),
    _displaced(
        "setpoint_9mm_before",
        "setpoint_cp once more, 9 mm off, from before the arming.",
        "setpoint_cp",
        x_m=0.009,
        when="before arming",
    ),
    _displaced(
        "setpoint_9mm_ready",
        "setpoint_cp once more, 9 mm off, before a goal is set.",
        "setpoint_cp",
        x_m=0.009,
        when="ready",
    ),
    _displaced("setpoint_9mm", "setpoint_cp once more, 9 mm off.", "setpoint_cp", x_m=0.009),
]
JOINTS_AND_JAW = [
    _second(
        "js_nan",
        "measured_js once more, yaw no number.",
        "measured_js",
        lambda a: a.mimic("measured_js", lambda joints, _: bent(joints, yaw=math.nan)),
    ),
    _second(
        "js_50mm",
        "measured_js once more, the tool 50 mm elsewhere.",
        "measured_js",
        lambda a: a.mimic("measured_js", lambda joints, _: bent(joints, insertion=0.05)),
    ),
    _mimic("jaw_nan", "jaw/measured_js once more, no number.", "jaw/measured_js", position=(math.nan,)),
    _mimic("jaw_empty", "jaw/measured_js once more, of no joint.", "jaw/measured_js", position=()),
    Attack(
        "jaw_open_but_spoofed_closed",
        "The jaw is opened, and somebody says that it is closed.",
        "reaching",
        _open_jaw_and_spoof,
        Notice("jaw", FOUND_S),
        "jaw/servo_jp",
    ),
]
STATES = [
    _second(
        "state_spoofed_fault",
        "Somebody says that the arm is at FAULT.",
        "operating_state|FAULT",
        lambda a: _states(a, lambda state: stated(state, state="FAULT")),
    ),
    _second(
        "state_spoofed_enabled",
        "The arm is paused, and somebody says that it is not.",
        "operating_state|PAUSED",
        _paused_and_spoofed,
        needs_simulation=True,
    ),
    _second(
        "state_spoofed_lower_case",
        "Somebody says that the arm is enabled (lower case).",
        "operating_state|enabled",
        lambda a: _states(a, lambda state: stated(state, state="enabled")),
    ),
    _second(
        "state_spoofed_1970",
        "Somebody says ENABLED with a stamp of 1970.",
        "operating_state",
        lambda a: _states(a, lambda state: stated(state, stamp_ns=1)),
    ),
    _second(
        "state_spoofed_busy",
        "Somebody says that the arm is busy.",
        "operating_state|busy",
        lambda a: _states(a, lambda state: stated(state, is_busy=True)),
    ),
    _second(
        "state_spoofed_same",
        "Somebody says once more what is true.",
        "operating_state",
        lambda a: _states(a, lambda state: state),
    ),
    Attack(
        "error_spam_1_MB",
        "Errors of 1 MB in the arm's name, 50 a second.",
        "reaching",
        _error_spam,
        Harmless("an error's text moves nothing"),
    ),
]
OTHER_TYPES = [
    Attack(
        "cp_best_effort",
        "measured_cp by a writer that is not reliable.",
        "reaching",
        partial(_best_effort, topic="measured_cp", record=_POSE),
        Harmless("DDS does not match it"),
    ),
    Attack(
        "servo_cp_best_effort",
        "servo_cp by a writer that is not reliable.",
        "reaching",
        partial(_best_effort, topic="servo_cp", record=_POSE),
        Harmless("DDS does not match it, at the arm neither"),
    ),
    Attack(
        "cp_other_layout",
        "Another layout on measured_cp under the type's own name.",
        "reaching",
        partial(
            _other_type, name="geometry_msgs::msg::dds_::PoseStamped_", fields={"x": float}, values=[1.0]
        ),
        Harmless("DDS compares the types' descriptions"),
    ),
    Attack(
        "cp_other_type",
        "Texts on measured_cp.",
        "reaching",
        partial(_other_type, name="std_msgs::msg::dds_::String_", fields={"data": str}, values=["here"]),
        Harmless("DDS does not match it"),
    ),
]
