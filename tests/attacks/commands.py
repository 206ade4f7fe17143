"""Attacks by commands: of somebody else, and copies of the controller's own."""

import dataclasses
import time
from functools import partial

from l0_surgical.control.records import PoseStamped
from tests.attacks.attack import Attack, Harmless, Notice
from tests.attacks.attacker import Attacker, moved


def nothing(a: Attacker) -> None:
    """The scene itself."""
    a.begin()


def foreign_pose(a: Attacker, x_m: float = 0.0, lasting_s: float = 0.001) -> None:
    """servo_cp away from where the arm is."""
    here = a.next("measured_cp")
    for _ in a.every(0.005, lasting_s):
        a.say("servo_cp", moved(here, x_m, stamp_ns=time.time_ns()))


def replay(a: Attacker, old_s: float, lasting_s: float = 3.0) -> None:
    """A stream of copies of the controller's commands, so many seconds old."""
    waiting: list[PoseStamped] = []
    for command in a.each("servo_cp", lasting_s):
        waiting.append(command)
        while waiting and waiting[0].stamp_ns < time.time_ns() - 1e9 * old_s:
            a.say("servo_cp", waiting.pop(0))


def replay_once(a: Attacker, old_s: float, **changes: object) -> None:
    """One copy."""
    command = a.next("servo_cp")
    a.wait(old_s)
    a.say("servo_cp", dataclasses.replace(command, **changes))


FOREIGN = [
    Attack("none", "Nothing: the scene as it is.", "reaching", nothing, Harmless("it is the baseline"), goals=2),
    Attack("servo_cp_once", "One servo_cp to where the arm is.", "reaching", foreign_pose, Notice("servo_cp"), "servo_cp"),
    Attack("servo_cp_30mm", "One servo_cp 30 mm away.", "reaching", partial(foreign_pose, x_m=0.03), Notice("servo_cp"), "servo_cp"),
]
COPIES = [
    Attack("replay_stream_0_1s", "Each command again, 0.1 s later.", "reaching", partial(replay, old_s=0.1), Notice("servo_cp"), "servo_cp"),
    Attack("replay_once_2s", "One command again, 1 s later.", "approaching", partial(replay_once, old_s=1.0), Notice("servo_cp"), "servo_cp"),
]
