"""Floods: as many messages a second as one process can send; meanwhile the controller is asked to disarm."""

import math
import time
from collections.abc import Callable
from functools import partial

from l0_surgical.robot.control.records import (
    Empty,
    JointState,
    OperatingState,
    PoseStamped,
    Record,
    String,
    StringStamped,
)
from l0_surgical.robot.messaging import crtk
from tests.attacks.attack import Attack, Either, Expectation, Notice
from tests.attacks.attacker import Attacker, base_frame


def _pose() -> PoseStamped:
    return PoseStamped(
        time.time_ns(), "PSM1_base", (0.03, 0.03, -0.12), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)
    )


def _joints() -> JointState:
    return JointState(time.time_ns(), "", (), (0.0, 0.0, 0.12, 0.0, 0.0, 0.0))


def _jaw() -> JointState:
    return JointState(time.time_ns(), "", ("jaw",), (0.0,))


def _state() -> OperatingState:
    return OperatingState(time.time_ns(), "", "ENABLED", True, False)


def _flood(a: Attacker, topic: str, make: Callable[[], Record]) -> None:
    a.flood(topic, make())


def _of(topic: str, make: Callable[[], Record], expect: Expectation | None = None, what: str = "") -> Attack:
    name = f"flood_{topic.replace('/', '_')}{what and f'_{what}'}"
    act, opens = partial(_flood, topic=topic, make=make), topic if topic in crtk.SUBSCRIBED else ""
    return Attack(
        name,
        f"{topic} as fast as possible for 1 s{what and f', {what}'}.",
        "reaching",
        act,
        expect or Notice(topic, 0.5),
        opens,
    )


FLOODS = [
    _of("measured_cp", _pose),
    _of("local/measured_cp", _pose),
    _of("setpoint_cp", _pose),
    _of("measured_js", _joints),
    _of("jaw/measured_js", _jaw),
    _of("operating_state", _state),
    _of("error", lambda: String("help " * 200), Either("an error's text moves nothing")),
    _of("servo_cp", _pose),
    _of("servo_jp", _joints),
    _of("hold", Empty),
    _of("set_base_frame", lambda: base_frame("PSM1")),
    _of("state_command", lambda: StringStamped(time.time_ns(), "", "enable")),
    _of("jaw/servo_jp", _jaw),
    Attack(
        "flood_replay",
        "One of the controller's commands again, as fast as possible for 1 s.",
        "reaching",
        lambda a: a.flood("servo_cp", a.next("servo_cp")),
        Notice("servo_cp", 0.5),
        "servo_cp",
    ),
]
