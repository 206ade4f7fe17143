"""Attacks by commands of somebody else: to move, to stop, to the jaw, to the arm's state."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from l0_surgical.robot.control.records import (
    Bool,
    CartesianImpedance,
    CartesianState,
    Empty,
    Float64,
    HalfPlaneGains,
    JointState,
    String,
    WrenchStamped,
)
from tests.attacks.attack import Attack, Harmless, Notice, Phase
from tests.attacks.attacker import Attacker, moved
from tests.attacks.verbs import LONG_S, jaw, joints, nothing, order, pose, stream

NO_FORCE = WrenchStamped(0, "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
NO_EFFORT = JointState(0, "", (), (), (), (0.0,) * 6)
NO_STATE = CartesianState(
    0,
    "",
    (0.0,) * 3,
    (0.0, 0.0, 0.0, 1.0),
    False,
    (0.0,) * 3,
    (0.0,) * 3,
    False,
    (0.0,) * 3,
    (0.0,) * 3,
    False,
)
NO_GAINS = HalfPlaneGains(*((0.0,) * 3,) * 4)
NO_IMPEDANCE = CartesianImpedance(
    0, "", (0.0, 0.0, 0.0, 1.0), (0.0,) * 3, (0.0, 0.0, 0.0, 1.0), *(NO_GAINS,) * 4
)
PHASES: tuple[Phase, ...] = ("ready", "approaching", "reaching", "holding")


def _foreign(name: str, does: str, topic: str, act: Callable[..., None], when: Phase = "reaching") -> Attack:
    """What must be noticed as a command of somebody else, by the topic's name."""
    return Attack(name, does, when, partial(act, topic=topic), Notice(topic), topic)


def _state(
    name: str, does: str, *commands: str, words: str = "state_command", when: Phase = "reaching"
) -> Attack:
    return Attack(name, does, when, lambda a: order(a, *commands), Notice(words), "state_command")


def _servo_cs(a: Attacker, topic: str) -> None:
    here = moved(a.next("measured_cp"), 0.005)
    a.say(
        topic,
        replace(
            NO_STATE,
            stamp_ns=time.time_ns(),
            position=here.position,
            orientation=here.orientation,
            pose_is_valid=True,
        ),
    )


def _power_off(a: Attacker) -> None:
    a.say("/system/power_off", Empty())
    a.wait(1.0)


BASELINE = Attack(
    "none", "Nothing: the scene as it is.", "reaching", nothing, Harmless("it is the baseline"), goals=2
)

MOTION = [
    _foreign("servo_cp_once", "One servo_cp to where the arm is.", "servo_cp", pose),
    _foreign(
        "servo_cp_once_approaching", "One servo_cp to where the arm is.", "servo_cp", pose, "approaching"
    ),
    _foreign("servo_cp_30mm_once", "One servo_cp 30 mm away.", "servo_cp", partial(pose, x_m=0.03)),
    _foreign(
        "servo_cp_stream",
        "servo_cp 0.2 m away at 200 Hz.",
        "servo_cp",
        partial(pose, x_m=-0.2, lasting_s=2.0),
    ),
    _foreign(
        "servo_cp_ready",
        "One servo_cp 5 mm away before a goal is set.",
        "servo_cp",
        partial(pose, x_m=0.005),
        "ready",
    ),
    _foreign("servo_cp_holding", "One servo_cp 2 mm away.", "servo_cp", partial(pose, x_m=0.002), "holding"),
    _foreign("servo_jp", "One servo_jp to where the joints are.", "servo_jp", joints),
    _foreign(
        "servo_jp_ready",
        "One servo_jp, yaw by 0.04 rad (5 mm), before a goal is set.",
        "servo_jp",
        partial(joints, by_rad=0.04),
        "ready",
    ),
    _foreign("servo_jr_zero", "One servo_jr by nothing.", "servo_jr", joints),
    _foreign("servo_jf", "One servo_jf of no effort.", "servo_jf", partial(stream, record=NO_EFFORT)),
    _foreign("move_cp", "One move_cp 20 mm away.", "move_cp", partial(pose, x_m=0.02)),
    _foreign("move_cp_in_place", "One move_cp to where the arm is.", "move_cp", pose),
    _foreign(
        "move_cp_ready",
        "One move_cp 5 mm away before a goal is set.",
        "move_cp",
        partial(pose, x_m=0.005),
        "ready",
    ),
    _foreign("move_jp", "One move_jp, yaw by 0.1 rad.", "move_jp", partial(joints, by_rad=0.1)),
    _foreign("move_jr", "One move_jr, yaw by 0.1 rad.", "move_jr", partial(joints, by_rad=0.1)),
    _foreign("servo_cs", "One servo_cs to 5 mm away.", "servo_cs", _servo_cs),
    _foreign(
        "servo_cs_nothing",
        "One servo_cs of which nothing is valid.",
        "servo_cs",
        partial(stream, record=NO_STATE),
    ),
    _foreign("servo_ci", "One servo_ci of no stiffness.", "servo_ci", partial(stream, record=NO_IMPEDANCE)),
    _foreign(
        "body_servo_cf", "body/servo_cf of no force.", "body/servo_cf", partial(stream, record=NO_FORCE)
    ),
    _foreign(
        "spatial_servo_cf",
        "spatial/servo_cf of no force.",
        "spatial/servo_cf",
        partial(stream, record=NO_FORCE),
    ),
]
STOPS = [
    *(
        _foreign(f"hold_{phase}", "A person says hold, once.", "hold", partial(stream, record=Empty()), phase)
        for phase in PHASES
    ),
    *(
        _foreign(f"free_{phase}", "A person says free, once.", "free", partial(stream, record=Empty()), phase)
        for phase in PHASES
    ),
    _foreign(
        "hold_10hz",
        "hold at 10 Hz for 3 s.",
        "hold",
        partial(stream, record=Empty(), period_s=0.1, lasting_s=LONG_S),
    ),
    _foreign(
        "hold_200hz", "hold at 200 Hz for 3 s.", "hold", partial(stream, record=Empty(), lasting_s=LONG_S)
    ),
]
JAW = [
    _foreign("jaw_servo_open", "The jaw opened by 1 rad.", "jaw/servo_jp", partial(jaw, to_rad=1.0)),
    _foreign("jaw_servo_a_little", "The jaw opened by 0.1 rad.", "jaw/servo_jp", partial(jaw, to_rad=0.1)),
    _foreign(
        "jaw_servo_slowly",
        "The jaw opened by 0.5 rad/s.",
        "jaw/servo_jp",
        partial(jaw, to_rad=1.0, step_rad=0.005),
    ),
    _foreign(
        "jaw_servo_in_place",
        "The jaw told to be where it is.",
        "jaw/servo_jp",
        partial(jaw, to_rad=0.0),
        "holding",
    ),
    _foreign("jaw_move", "jaw/move_jp to 0.1 rad.", "jaw/move_jp", partial(jaw, to_rad=0.1)),
    _foreign(
        "jaw_effort",
        "jaw/servo_jf of no effort.",
        "jaw/servo_jf",
        partial(stream, record=replace(NO_EFFORT, effort=(0.0,))),
    ),
]
STATE = [
    _state("state_pause", "The arm is told to pause.", "pause", words="state_command|PAUSED"),
    _state("state_disable", "The arm is told to disable.", "disable", words="state_command|DISABLED"),
    _state("state_unhome", "The arm is told to unhome.", "unhome", words="state_command|not homed"),
    _state(
        "state_pause_resume",
        "pause, and resume right after it.",
        "pause",
        "resume",
        words="state_command|PAUSED",
    ),
    _state("state_enable", "enable, which changes nothing.", "enable"),
    _state(
        "state_enable_ready", "enable, which changes nothing, before a goal is set.", "enable", when="ready"
    ),
    _state("state_home", "home, while the arm is homed.", "home"),
    _state("state_resume", "resume, which an ENABLED arm does not take.", "resume"),
    _state("state_nonsense", "A state command that no arm knows.", "self destruct"),
    _state("state_1_MB", "A state command of 1 MB.", "x" * 1_000_000),
    Attack(
        "system_power_off",
        "/system/power_off.",
        "reaching",
        _power_off,
        Notice("power_off|DISABLED"),
        "/system/power_off",
    ),
    *(
        _foreign(f"setting_{topic.replace('/', '_')}", f"{topic}.", topic, partial(stream, record=record))
        for topics, record in (
            ("trajectory_j/set_ratio trajectory_j/set_ratio_v trajectory_j/set_ratio_a", Float64(0.01)),
            ("use_gravity_compensation emulate_tool_present emulate_adapter_present", Bool(True)),
            ("body/set_cf_orientation_absolute", Bool(True)),
        )
        for topic in topics.split()
    ),
    # the arm then takes its tool for another one, longer by 51 mm, without moving
    replace(
        _foreign(
            "setting_set_tool_type",
            "set_tool_type.",
            "set_tool_type",
            partial(stream, record=String("LARGE_NEEDLE_DRIVER:420006[0]")),
        ),
        judged_by="measured_js",
    ),
]
