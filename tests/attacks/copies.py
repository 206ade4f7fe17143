"""Attacks by copies of the controller's own commands."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial

from l0_surgical.robot.control.records import PoseStamped
from tests.attacks.attack import Attack, Notice
from tests.attacks.attacker import Attacker, moved
from tests.attacks.verbs import replay, replay_after_each, replay_of_former_session, replay_once


def _copy(name: str, does: str, act: Callable[[Attacker], None], when: str = "reaching") -> Attack:
    return Attack(name, does, when, act, Notice("servo_cp"), "servo_cp")


def _changed(**changes: object) -> Callable[[PoseStamped], PoseStamped]:
    return lambda command: dataclasses.replace(command, **changes)


def _other_quaternion(command: PoseStamped) -> PoseStamped:
    x, y, z, w = command.orientation
    return dataclasses.replace(command, orientation=(-x, -y, -z, -w))


COPIES = [
    _copy(
        "replay_once_at_once", "One command again, as soon as it was heard.", partial(replay_once, old_s=0.0)
    ),
    _copy("replay_once_5ms", "One command again, 5 ms later.", partial(replay_once, old_s=0.005)),
    _copy("replay_once_20ms", "One command again, 20 ms later.", partial(replay_once, old_s=0.02)),
    _copy("replay_once_100ms", "One command again, 0.1 s later.", partial(replay_once, old_s=0.1)),
    _copy(
        "replay_once_500ms", "One command again, 0.5 s later.", partial(replay_once, old_s=0.5), "approaching"
    ),
    _copy(
        "replay_once_2s",
        "One command again, 2 s later, while the arm holds.",
        partial(replay_once, old_s=2.0),
        "holding",
    ),
    _copy("replay_every_command_twice", "Each command again, at once.", partial(replay, old_s=0.0)),
    _copy("replay_stream_0_1s", "Each command again, 0.1 s later.", partial(replay, old_s=0.1)),
    _copy(
        "replay_stream_0_5s", "Each command again, 0.5 s later.", partial(replay, old_s=0.5), "approaching"
    ),
    _copy("replay_0_3s_after_each", "Right after each command the one of 0.3 s before.", replay_after_each),
    _copy(
        "replay_former_session",
        "A command from before the last arming, before a goal is set.",
        replay_of_former_session,
    ),
    _copy(
        "copy_own_stamp",
        "One command again with a stamp of now.",
        partial(replay_once, old_s=0.0, change=lambda c: moved(c, stamp_ns=time.time_ns())),
    ),
    _copy(
        "copy_stamp_1ns",
        "One command again with a stamp later by 1 ns.",
        partial(replay_once, old_s=0.0, change=lambda c: moved(c, stamp_ns=c.stamp_ns + 1)),
    ),
    _copy(
        "copy_other_frame",
        "One command again in the frame ECM.",
        partial(replay_once, old_s=0.0, change=_changed(frame_id="ECM")),
    ),
    _copy(
        "copy_other_quaternion",
        "One command again, its quaternion negated (the same orientation).",
        partial(replay_once, old_s=0.0, change=_other_quaternion),
    ),
    _copy(
        "copy_1um",
        "One command again, 1 um away.",
        partial(replay_once, old_s=0.0, change=lambda c: moved(c, 1e-6)),
    ),
]
