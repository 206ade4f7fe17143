"""What attackers do, in terms of `Attacker`: streams, poses and joints away from where the arm is, copies,
mimicry."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from l0_surgical.robot.control.records import JointState, PoseStamped, Record, StringStamped
from tests.attacks.attacker import Attacker, bent, moved

FIVE_MS, ONCE_S, LONG_S = 0.005, 0.001, 3.0


def nothing(a: Attacker) -> None:
    """The scene itself."""
    a.begin()


def stream(
    a: Attacker, topic: str, record: Record, period_s: float = FIVE_MS, lasting_s: float = ONCE_S
) -> None:
    """The same message; once where it does not last."""
    for _ in a.every(period_s, lasting_s):
        a.say(topic, record)


def pose(a: Attacker, topic: str = "servo_cp", x_m: float = 0.0, lasting_s: float = ONCE_S) -> None:
    """A pose so far from where the arm is."""
    here = a.next("measured_cp")
    for _ in a.every(FIVE_MS, lasting_s):
        a.say(topic, moved(here, x_m, stamp_ns=time.time_ns()))


def joints(a: Attacker, topic: str, by_rad: float = 0.0) -> None:
    """Joints of which yaw is so far from where it is; of relative topics, only that."""
    here = a.next("measured_js")
    origin = dataclasses.replace(here, position=(0.0,) * 6) if topic.endswith("jr") else here
    a.say(topic, bent(origin, yaw=by_rad))


def jaw(a: Attacker, topic: str, to_rad: float, step_rad: float = 10.0) -> None:
    """The jaw from closed to an angle, at once or slowly."""
    angle, done = 0.0, False
    for _ in a.every(0.01, LONG_S):
        if not done:
            angle = min(to_rad, angle + step_rad)
            a.say(topic, JointState(time.time_ns(), "", ("jaw",), (angle,)))
            done = angle == to_rad


def order(a: Attacker, *commands: str) -> None:
    """State commands, right after each other."""
    for command in commands:
        a.say("state_command", StringStamped(time.time_ns(), "", command))
    a.wait(1.0)


def replay(a: Attacker, old_s: float) -> None:
    """A stream of copies of the controller's commands, so many seconds old."""
    waiting: list[PoseStamped] = []
    for command in a.each("servo_cp", LONG_S + old_s):
        waiting.append(command)
        while waiting and waiting[0].stamp_ns <= time.time_ns() - 1e9 * old_s:
            a.say("servo_cp", waiting.pop(0))


def replay_once(
    a: Attacker, old_s: float, change: Callable[[PoseStamped], PoseStamped] = lambda command: command
) -> None:
    """One copy, perhaps changed."""
    command = a.next("servo_cp")
    a.wait(old_s)
    a.say("servo_cp", change(command))
    a.wait(0.5)


def replay_after_each(a: Attacker) -> None:
    """Right after each command, the one of 0.3 s before."""
    former: list[PoseStamped] = []
    for command in a.each("servo_cp", LONG_S):
        former.append(command)
        if len(former) > 60:
            a.say("servo_cp", former[-60])


def replay_of_former_session(a: Attacker) -> None:
    """A command from before the controller was disarmed and armed anew."""
    command = a.next("servo_cp")
    a.controller.ask("disarm")
    a.wait(0.1)
    a.controller.ask("arm")
    a.wait(0.1)
    a.say("servo_cp", command)
    a.wait(0.5)


def mimic(a: Attacker, topic: str, lasting_s: float = LONG_S, **changes: Any) -> None:
    """A second publisher of one of the arm's topics: each message once more, with fields replaced."""
    a.mimic(topic, lambda record, _: dataclasses.replace(record, **changes), lasting_s)


def mimic_moved(
    a: Attacker, *topics: str, x_m: float = 0.0, x_m_per_s: float = 0.0, later_ns: int = 0
) -> None:
    """Poses once more, displaced (growing), with the stamps of the originals or a little later ones."""
    a.proceed.set()
    for topic in topics[1:]:
        a.open(topic)
    begin = time.monotonic()

    def shifted(record: PoseStamped) -> PoseStamped:
        return moved(
            record, x_m + x_m_per_s * (time.monotonic() - begin), stamp_ns=record.stamp_ns + later_ns
        )

    a.open(topics[0])
    for record in a.each(topics[0], LONG_S):
        a.say(topics[0], shifted(record))
        for topic in topics[1:]:
            for other in a.heard(topic):
                a.say(topic, shifted(other))


def silent_second_publisher(a: Attacker, topic: str) -> None:
    """Somebody who could speak on one of the arm's topics and does not."""
    a.open(topic)
    a.wait(1.0)
