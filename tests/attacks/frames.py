"""Attacks by set_base_frame, which gives all Cartesian commands and poses another meaning at once."""

import math
from functools import partial

from l0_surgical.robot.control.records import PoseStamped
from tests.attacks.attack import Attack, Either, Notice, Phase
from tests.attacks.attacker import Attacker, base_frame

TOPIC = "set_base_frame"


def _move(a: Attacker, **where: float) -> None:
    a.say(TOPIC, base_frame(a.arm_name, **where))
    a.wait(1.0)


def _creep(a: Attacker, yaw_rad: float = 0.0, **step: float) -> None:
    """One step every 0.1 s."""
    for count in a.every(0.1, 4.0):
        a.say(
            TOPIC,
            base_frame(
                a.arm_name, yaw_rad=yaw_rad * count, **{axis: size * count for axis, size in step.items()}
            ),
        )


def _move_and_restore(a: Attacker, **where: float) -> None:
    a.say(TOPIC, base_frame(a.arm_name, **where))
    a.wait(0.004)
    a.say(TOPIC, base_frame(a.arm_name))
    a.wait(1.0)


def _move_twice(a: Attacker, **where: float) -> None:
    """Below the bound before arming, and as much again while moving."""
    a.say(TOPIC, base_frame(a.arm_name, **where))
    a.wait(0.1)
    a.proceed.set()
    while not a.heard("servo_cp") and not a.is_over:
        a.wait(0.01)
    a.wait(0.5)
    a.say(TOPIC, base_frame(a.arm_name, **{axis: 2 * size for axis, size in where.items()}))


def _broken(a: Attacker) -> None:
    a.say(TOPIC, PoseStamped(0, f"{a.arm_name}_base", (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    a.wait(1.0)


def _renamed(a: Attacker) -> None:
    a.say(TOPIC, PoseStamped(0, "ECM", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    a.wait(1.0)


def _frame(name: str, does: str, act: object, when: Phase = "reaching", words: str = TOPIC) -> Attack:
    return Attack(name, does, when, act, Notice(words), TOPIC)


BASE_FRAME = [
    _frame("frame_step_20mm", "The base frame moved by 20 mm at once.", partial(_move, z_m=0.02)),
    _frame("frame_step_4mm", "The base frame moved by 4 mm at once.", partial(_move, z_m=0.004)),
    _frame("frame_step_0_5mm", "The base frame moved by 0.5 mm at once.", partial(_move, z_m=0.0005)),
    _frame(
        "frame_creep_down",
        "The base frame moved by 1.5 mm every 0.1 s, so that the tool goes down.",
        partial(_creep, z_m=0.0015),
    ),
    _frame(
        "frame_creep_sideways",
        "The base frame moved by 2 mm every 0.1 s, sideways.",
        partial(_creep, x_m=0.002),
    ),
    _frame(
        "frame_creep_turning", "The base frame turned by 0.01 rad every 0.1 s.", partial(_creep, yaw_rad=0.01)
    ),
    _frame(
        "frame_creep_approaching",
        "The base frame moved by 1.5 mm every 0.1 s.",
        partial(_creep, z_m=0.0015),
        "approaching",
    ),
    _frame(
        "frame_moved_and_restored",
        "The base frame moved by 20 mm and back after 4 ms.",
        partial(_move_and_restore, z_m=0.02),
    ),
    _frame("frame_unchanged", "set_base_frame to the present one.", _move),
    _frame(
        "frame_ready",
        "The base frame moved by 20 mm before a goal is set.",
        partial(_move, z_m=0.02),
        "ready",
    ),
    _frame(
        "frame_holding",
        "The base frame moved by 1.5 mm every 0.1 s while the arm holds.",
        partial(_creep, z_m=0.0015),
        "holding",
    ),
    _frame("frame_renamed", "set_base_frame to the present one under the name ECM.", _renamed),
    _frame("frame_nan", "set_base_frame to what is no number.", _broken),
    _frame(
        "frame_4mm_before",
        "The base frame moved by 4 mm before arming.",
        partial(_move, z_m=0.004),
        "before arming",
        "measured_cp|joints|base",
    ),
    _frame(
        "frame_1_9mm_twice",
        "The base frame moved by 1.9 mm before arming and as much again in motion.",
        partial(_move_twice, z_m=0.0019),
        "ready",
    ),
    Attack(
        "frame_1_9mm_before",
        "The base frame moved by 1.9 mm before arming.",
        "before arming",
        partial(_move, z_m=0.0019),
        Either("below max_joint_disagreement_m, which a real arm's calibration needs"),
        TOPIC,
    ),
]
