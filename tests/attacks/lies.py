"""What an arm itself may say wrong: its only publisher, and no longer the truth. Our simulated arm is made to
say it."""

import dataclasses
import math
import random
import time
from functools import partial
from typing import Any

from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped
from tests.attacks.attack import Attack, Either, Expectation, Harmless, Notice, Phase
from tests.attacks.attacker import Attacker, bent, moved, stated
from tests.attacks.workers import Lie

_MS, _US = 1_000_000, 1_000


def changed(record: Any, _: float, **changes: Any) -> list[Any]:
    return [dataclasses.replace(record, **changes)]


def shifted(pose: PoseStamped, seconds: float, x_m: float = 0.0, x_m_per_s: float = 0.0) -> list[PoseStamped]:
    return [moved(pose, x_m + x_m_per_s * seconds)]


def turned(pose: PoseStamped, _: float, by_rad: float) -> list[PoseStamped]:
    """About the tool's own x axis."""
    x, y, z, w = pose.orientation
    sine, cosine = math.sin(by_rad / 2), math.cos(by_rad / 2)
    return [
        dataclasses.replace(
            pose,
            orientation=(
                x * cosine + w * sine,
                y * cosine + z * sine,
                z * cosine - y * sine,
                w * cosine - x * sine,
            ),
        )
    ]


def other_quaternion(pose: PoseStamped, _: float) -> list[PoseStamped]:
    x, y, z, w = pose.orientation
    return [dataclasses.replace(pose, orientation=(-x, -y, -z, -w))]


def later(record: Any, _: float, by_ns: int) -> list[Any]:
    return [dataclasses.replace(record, stamp_ns=record.stamp_ns + by_ns)]


def bent_by(joints: JointState, _: float, **by: float) -> list[JointState]:
    return [bent(joints, **by)]


def silence(_: Any, __: float) -> list[Any]:
    return []


def every_second(record: Any, seconds: float) -> list[Any]:
    """Half of the messages."""
    return [record] if round(100 * seconds) % 2 else []


class Frozen:
    """What was first said stays, but for the fields that go on."""

    def __init__(self, *going_on: str) -> None:
        self._going_on, self._first = going_on, None

    def __call__(self, record: Any, _: float) -> list[Any]:
        self._first = self._first or record
        return [dataclasses.replace(self._first, **{name: getattr(record, name) for name in self._going_on})]


def jittering(record: Any, _: float) -> list[Any]:
    """Each sample twice, with stamps of two readings of a clock, as cisst-ros makes them."""
    return [
        dataclasses.replace(record, stamp_ns=record.stamp_ns + random.randrange(-50 * _US, 50 * _US))
        for _ in range(2)
    ]


class GoingBack:
    """One message in ten with a stamp of before the one before it."""

    def __init__(self, by_ns: int) -> None:
        self._by_ns, self._count, self._former_ns = by_ns, 0, 0

    def __call__(self, record: Any, _: float) -> list[Any]:
        self._count += 1
        former_ns, self._former_ns = self._former_ns, record.stamp_ns
        return (
            [dataclasses.replace(record, stamp_ns=former_ns - self._by_ns)]
            if self._count % 10 == 0 and former_ns
            else [record]
        )


def state_now(known: OperatingState, _: float, **changes: Any) -> list[OperatingState]:
    return [stated(known, **changes)]


def _act(a: Attacker, lies: dict[str, Lie], lasting_s: float) -> None:
    for topic, lie in lies.items():
        a.lie(topic, lie)
    a.proceed.set()
    a.wait(lasting_s)


def _lie(
    name: str,
    does: str,
    topic: str,
    lie: Lie,
    expect: Expectation | None = None,
    when: Phase = "reaching",
    lasting_s: float = 1.5,
    **more: Lie,
) -> Attack:
    """`more`: of other topics, with __ in place of a slash."""
    lies = {topic: lie} | {other.replace("__", "/"): what for other, what in more.items()}
    judged_by = "local/setpoint_cp" if "local/measured_cp" in lies else "local/measured_cp"
    return Attack(
        name,
        does,
        when,
        partial(_act, lies=lies, lasting_s=lasting_s),
        expect or Notice(topic),
        needs_simulation=True,
        judged_by=judged_by,
    )


def _state(name: str, does: str, words: str, lie: Lie, when: Phase = "reaching") -> Attack:
    """The arm's state is an event: it is said once, and whenever it is said."""

    def act(a: Attacker) -> None:
        a.lie(STATE, lie)
        a.let_arm_say(STATE, OperatingState(time.time_ns(), "", "ENABLED", True, False))
        a.proceed.set()
        a.wait(1.5 if when == "reaching" else 6.0)

    return Attack(name, does, when, act, Notice(words), needs_simulation=True)


CP, LOCAL, JS, TOLD, JAW, STATE = (
    "measured_cp",
    "local/measured_cp",
    "measured_js",
    "setpoint_cp",
    "jaw/measured_js",
    "operating_state",
)
NAN = math.nan

POSES = [
    _lie("lie_cp_nan", "measured_cp is no number.", CP, partial(changed, position=(NAN, 0.0, 0.0))),
    _lie(
        "lie_cp_1e308", "measured_cp is 1e308 m away.", CP, partial(changed, position=(1e308, -1e308, 1e308))
    ),
    _lie(
        "lie_cp_orientation_zero",
        "The orientation of measured_cp is of zeros.",
        CP,
        partial(changed, orientation=(0.0,) * 4),
    ),
    _lie(
        "lie_cp_orientation_long",
        "The quaternion of measured_cp is 1 % too long.",
        CP,
        partial(changed, orientation=(0.0, 0.0, 0.0, 1.01)),
    ),
    _lie(
        "lie_cp_other_quaternion",
        "The quaternion of measured_cp is negated (the same orientation).",
        CP,
        other_quaternion,
        Harmless("the orientation is the same"),
    ),
    _lie("lie_cp_frame", "measured_cp is in the frame ECM.", CP, partial(changed, frame_id="ECM")),
    _lie("lie_cp_no_frame", "measured_cp is in no frame.", CP, partial(changed, frame_id="")),
    _lie(
        "lie_cp_frame_1_MB",
        "The frame of measured_cp is of 1 MB.",
        CP,
        partial(changed, frame_id="x" * 1_000_000),
    ),
    _lie(
        "lie_cp_1_9mm",
        "measured_cp is 1.9 mm off.",
        CP,
        partial(shifted, x_m=0.0019),
        Either("below max_joint_disagreement_m"),
    ),
    _lie("lie_cp_2_5mm", "measured_cp is 2.5 mm off.", CP, partial(shifted, x_m=0.0025)),
    _lie(
        "lie_cp_growing",
        "measured_cp goes away by 10 mm/s.",
        CP,
        partial(shifted, x_m_per_s=0.01),
        Notice(CP, 0.3),
    ),
    _lie("lie_cp_turned", "measured_cp is turned by 0.025 rad.", CP, partial(turned, by_rad=0.025)),
    _lie(
        "lie_cp_and_setpoint",
        "measured_cp and setpoint_cp are both 4 mm off, as a moved base frame would have it.",
        CP,
        partial(shifted, x_m=0.004),
        setpoint_cp=partial(shifted, x_m=0.004),
    ),
    _lie(
        "lie_all_cp",
        "measured_cp, local/measured_cp and setpoint_cp are 4 mm off.",
        CP,
        partial(shifted, x_m=0.004),
        local__measured_cp=partial(shifted, x_m=0.004),
        setpoint_cp=partial(shifted, x_m=0.004),
    ),
    _lie(
        "lie_cp_frozen",
        "measured_cp stays where it was, with new stamps.",
        CP,
        Frozen("stamp_ns"),
        Notice(CP, 0.3),
    ),
    _lie(
        "lie_local_nan", "local/measured_cp is no number.", LOCAL, partial(changed, position=(NAN, 0.0, 0.0))
    ),
    _lie("lie_local_4mm", "local/measured_cp is 4 mm off.", LOCAL, partial(shifted, x_m=0.004)),
    _lie("lie_local_silent", "local/measured_cp is not said any more.", LOCAL, silence, Notice(LOCAL, 0.5)),
    _lie("lie_setpoint_nan", "setpoint_cp is no number.", TOLD, partial(changed, position=(NAN, 0.0, 0.0))),
    _lie("lie_setpoint_1_5mm", "setpoint_cp is 1.5 mm off.", TOLD, partial(shifted, x_m=0.0015)),
    _lie(
        "lie_setpoint_9mm_before",
        "setpoint_cp is 9 mm off from before the arming.",
        TOLD,
        partial(shifted, x_m=0.009),
        when="before arming",
        lasting_s=6.0,
    ),
    _lie(
        "lie_setpoint_1_5mm_before",
        "setpoint_cp is 1.5 mm off from before the arming.",
        TOLD,
        partial(shifted, x_m=0.0015),
        Either("below max_joint_disagreement_m, and no step where there is one"),
        "before arming",
        6.0,
    ),
    _lie(
        "lie_setpoint_1_5mm_ready",
        "setpoint_cp is 1.5 mm off from before a goal is set.",
        TOLD,
        partial(shifted, x_m=0.0015),
        Either("below max_joint_disagreement_m, and no step where there is one"),
        "ready",
        6.0,
    ),
    _lie(
        "lie_setpoint_frozen",
        "setpoint_cp stays where it was, with new stamps.",
        TOLD,
        Frozen("stamp_ns"),
        Notice(TOLD, 0.3),
    ),
    _lie("lie_setpoint_silent", "setpoint_cp is not said any more.", TOLD, silence, Notice(TOLD, 0.5)),
]
STAMPS = [
    _lie("lie_cp_stamp_zero", "The stamps of measured_cp are 0.", CP, partial(changed, stamp_ns=0)),
    _lie("lie_cp_stamp_old", "measured_cp is 1 s old.", CP, partial(later, by_ns=-1000 * _MS)),
    _lie("lie_cp_stamp_ahead", "measured_cp is from in 1 s.", CP, partial(later, by_ns=1000 * _MS)),
    _lie(
        "lie_cp_stamps_frozen",
        "The pose goes on, its stamps stay.",
        CP,
        Frozen("position", "orientation"),
        Notice(CP, 0.6),
    ),
    _lie(
        "lie_cp_jitter",
        "Each measured_cp twice, its stamps jittering by 50 us.",
        CP,
        jittering,
        Harmless("the dVRK makes stamps of two clock readings"),
        lasting_s=2.0,
    ),
    _lie(
        "lie_js_jitter",
        "Each measured_js twice, its stamps jittering by 50 us.",
        JS,
        jittering,
        Harmless("the dVRK makes stamps of two clock readings"),
        lasting_s=2.0,
    ),
    _lie(
        "lie_cp_back_1ms",
        "One measured_cp in ten goes back by 1 ms.",
        CP,
        GoingBack(1 * _MS),
        Notice(CP, 0.2),
    ),
    _lie("lie_cp_half_rate", "Half of the measured_cp.", CP, every_second, Harmless("50 Hz are enough")),
    _lie("lie_cp_silent", "measured_cp is not said any more.", CP, silence, Notice(CP, 0.5)),
]
JOINTS = [
    _lie("lie_js_nan", "measured_js is no number.", JS, partial(bent_by, yaw=NAN)),
    _lie("lie_js_five", "measured_js has five joints.", JS, partial(changed, position=(0.0,) * 5)),
    _lie("lie_js_seven", "measured_js has seven joints.", JS, partial(changed, position=(0.0,) * 7)),
    _lie("lie_js_empty", "measured_js has no joint.", JS, partial(changed, position=())),
    _lie("lie_js_50mm", "measured_js has the tool 50 mm elsewhere.", JS, partial(bent_by, insertion=0.05)),
    _lie(
        "lie_js_1_9mm",
        "measured_js has the tool 1.9 mm elsewhere.",
        JS,
        partial(bent_by, insertion=0.0019),
        Either("below max_joint_disagreement_m"),
    ),
    _lie(
        "lie_js_2_5mm", "measured_js has the tool 2.5 mm elsewhere.", JS, partial(bent_by, insertion=0.0025)
    ),
    _lie(
        "lie_js_frozen",
        "measured_js stays what it was, with new stamps.",
        JS,
        Frozen("stamp_ns"),
        Notice(JS, 0.3),
    ),
    _lie("lie_js_stamps_old", "measured_js is 1 s old.", JS, partial(later, by_ns=-1000 * _MS)),
    _lie("lie_js_silent", "measured_js is not said any more.", JS, silence, Notice(JS, 0.5)),
    _lie(
        "lie_js_and_cp",
        "measured_js and measured_cp both have the tool 4 mm deeper or so; local/measured_cp does not.",
        JS,
        partial(bent_by, insertion=0.004),
        Notice(f"{JS}|{CP}"),
        measured_cp=partial(shifted, x_m=0.0),
    ),
    _lie(
        "lie_js_and_frame",
        "The joints are 3 mm deeper and measured_cp follows, as if a wrong calibration met a moved frame.",
        JS,
        partial(bent_by, insertion=0.003),
        Notice(f"{JS}|{CP}"),
        measured_cp=partial(shifted, x_m=0.003),
    ),
]
JAWS_AND_STATES = [
    _lie("lie_jaw_nan", "The jaw is no number.", JAW, partial(changed, position=(NAN,)), Notice("jaw")),
    _lie("lie_jaw_empty", "The jaw has no joint.", JAW, partial(changed, position=()), Notice("jaw")),
    _lie("lie_jaw_silent", "The jaw is not said any more.", JAW, silence, Notice("jaw", 0.5)),
    _state(
        "lie_state_older",
        "operating_state comes older than the one before.",
        STATE,
        partial(later, by_ns=-60_000 * _MS),
    ),
    _state("lie_state_1970", "operating_state is stamped 1970.", STATE, partial(changed, stamp_ns=1)),
    _state(
        "lie_state_future", "operating_state is from in 1 h.", STATE, partial(later, by_ns=3_600_000 * _MS)
    ),
    _state(
        "lie_state_lower_case",
        "The arm says that it is enabled (lower case).",
        "enabled",
        partial(state_now, state="enabled"),
    ),
    _state(
        "lie_state_empty", "The arm says that it is in no state.", "no state", partial(state_now, state="")
    ),
    _state(
        "lie_state_1_MB",
        "The arm's state is a text of 1 MB.",
        "not ENABLED",
        partial(state_now, state="x" * 1_000_000),
    ),
    _state(
        "lie_state_not_homed",
        "The arm says that it is not homed.",
        "homed",
        partial(state_now, is_homed=False),
    ),
    _state("lie_state_busy", "The arm says that it is busy.", "busy", partial(state_now, is_busy=True)),
    _state(
        "lie_state_busy_ready",
        "The arm says that it is busy before a goal is set.",
        "busy",
        partial(state_now, is_busy=True),
        "ready",
    ),
    _state(
        "lie_state_busy_before",
        "The arm says that it is busy from before the arming.",
        "busy",
        partial(state_now, is_busy=True),
        "before arming",
    ),
    _state(
        "lie_state_1970_before",
        "operating_state is stamped 1970 from before the arming.",
        STATE,
        partial(changed, stamp_ns=1),
        "before arming",
    ),
]
