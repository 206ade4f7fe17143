"""Faults of processes and computers: stopped, killed, doubled, restarted; the clock, the disk; goals without
end."""

import contextlib
import math
import signal
from collections.abc import Callable
from functools import partial

import pytest

from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.system.errors import L0SurgicalError
from tests.attacks.attack import GOALS, POLICY, Attack, Either, Ends, Expectation, Harmless, Notice, Phase
from tests.attacks.attacker import Attacker
from tests.attacks.workers import serve_arms, serve_controllers

IMPOSSIBLE = (
    (0.05, 0.06, -0.3),
    (50.0, 60.0, -120.0),
    (math.nan, 0.0, -0.12),
    (1e308, 0.0, 0.0),
    (0.0, 0.0, 0.0),
)


def _stop_arm(a: Attacker, seconds: float = 0.0, ages: float = 0.0) -> None:
    a.stop_for(a.arm, seconds + ages * a.limits.max_age_s)
    a.wait(0.5)


def _stop_controller(a: Attacker, gaps: float) -> None:
    a.stop_for(a.controller, gaps * a.limits.max_loop_gap_s)
    a.wait(0.5)


def _kill_arm(a: Attacker) -> None:
    a.kill(a.arm)
    a.wait(1.0)


def _kill_and_restart_arm(a: Attacker) -> None:
    a.kill(a.arm)
    a.arm.start()
    a.arm.ask("begin", a.domain, a.arm_name)
    a.wait(1.0)


def _restart_arm(a: Attacker) -> None:
    """In order: it says goodbye, and another one is there at once."""
    a.begin()
    a.arm.ask("end")
    a.arm.ask("begin", a.domain, a.arm_name)
    a.wait(1.0)


def _kill_controller(a: Attacker) -> None:
    a.kill(a.controller)
    a.wait(0.5)


def _another_arm(a: Attacker, name: str) -> None:
    arm = a.another(serve_arms)
    a.begin()
    arm.ask("begin", a.domain, name)
    a.proceed.set()
    a.wait(2.0)


def _another_controller(a: Attacker) -> None:
    """It asks again and again to be armed; should that be granted, it is at fault at its next tick."""
    other = a.another(serve_controllers)
    a.begin()
    other.ask("begin", ConnectionSettings(POLICY, a.arm_name, real_time=False), a.domain)
    for _ in a.every(0.05, 1.0):
        with contextlib.suppress(L0SurgicalError):
            other.ask("arm")
            a.wait(0.1)
            assert other.ask("report").controller.state == "fault"
            assert other.ask("report").controller.sent == 0
            other.ask("reset")


def _another_control(a: Attacker) -> None:
    """As a person starts it: it waits, and gives up."""
    said = a.end_control(a.start_control("--timeout", "2", "--no-bring-up"), None)
    assert "somebody else" in said, said


def _end_control(a: Attacker, number: int, code: int) -> None:
    """`l0-surgical control` in the controller's place is ended in motion: no command follows, and the arm
    stays."""
    program = a.start_control()
    for _ in range(100):
        a.next("servo_cp")
    a.end_control(program, number)
    assert program.returncode == code, program.returncode
    a.heard("servo_cp")
    former: PoseStamped = a.next("local/measured_cp")
    a.wait(0.3)
    assert a.heard("servo_cp") == []
    assert math.dist(a.next("local/measured_cp").position, former.position) < 1e-4


def _set_clock(a: Attacker, seconds: float) -> None:
    a.begin()
    a.log.clock_ns = round(1e9 * seconds)
    a.controller.ask("set_clock", seconds)
    a.wait(1.0)


def _fill_disk(a: Attacker) -> None:
    a.begin()
    a.controller.ask("fill_disk")
    a.wait(1.0)


def _goals_without_end(a: Attacker) -> None:
    """One right after the other; the last is the operator's."""
    a.begin()
    for count in a.every(0.001, 1.0):
        a.controller.ask("goal", GOALS[count % 2])
    a.controller.ask("goal", GOALS[0])


def _impossible_goals(a: Attacker) -> None:
    a.begin()
    for goal in IMPOSSIBLE:
        with pytest.raises(L0SurgicalError):
            a.controller.ask("goal", goal)


def _fault(
    name: str, does: str, act: Callable[[Attacker], None], expect: Expectation, when: Phase = "reaching"
) -> Attack:
    return Attack(name, does, when, act, expect, needs_simulation=True)


def _computer(
    name: str, does: str, act: Callable[[Attacker], None], expect: Expectation, when: Phase = "reaching"
) -> Attack:
    return Attack(name, does, when, act, expect)


GONE, TWO = (
    Notice("stopped|gone|stamp|publishes|from its setpoint", 0.8),
    Notice("publish|went back|measured|DISABLED", 0.5),
)
ARM = [
    _fault(
        "arm_stopped_shortly",
        "The arm's process stands still for 40 ms.",
        partial(_stop_arm, seconds=0.04),
        Harmless("it is not too old yet"),
    ),
    _fault(
        "arm_stopped",
        "The arm's process stands still for 1.5 times max_age_s.",
        partial(_stop_arm, ages=1.5),
        GONE,
    ),
    _fault(
        "arm_stopped_long",
        "The arm's process stands still for 3 times max_age_s.",
        partial(_stop_arm, ages=3),
        GONE,
    ),
    _fault("arm_killed", "The arm's process is killed.", _kill_arm, GONE),
    _fault(
        "arm_killed_and_restarted",
        "The arm's process is killed and started again.",
        _kill_and_restart_arm,
        GONE,
    ),
    _fault(
        "arm_restarted",
        "The arm leaves in order, and another one is there at once.",
        _restart_arm,
        Notice("publish|gone|stopped|DISABLED|not valid", 0.5),
    ),
    _fault("arm_doubled", "A second arm of the same name.", lambda a: _another_arm(a, a.arm_name), TWO),
    _fault(
        "arm_doubled_before",
        "A second arm of the same name from before the arming.",
        lambda a: _another_arm(a, a.arm_name),
        TWO,
        "before arming",
    ),
    _fault(
        "arm_PSM10_beside",
        "Another arm whose name begins with this one's.",
        lambda a: _another_arm(a, f"{a.arm_name}0"),
        Harmless("it has topics of its own"),
    ),
    _fault(
        "arm_psm1_beside",
        "Another arm of the same name in lower case.",
        lambda a: _another_arm(a, a.arm_name.lower()),
        Harmless("names have case"),
    ),
]
CONTROLLER = [
    _computer(
        "controller_stopped_shortly",
        "The controller stands still for 0.4 of max_loop_gap_s.",
        partial(_stop_controller, gaps=0.4),
        Harmless("it is not too long"),
    ),
    _computer(
        "controller_stopped",
        "The controller stands still for 1.5 times max_loop_gap_s.",
        partial(_stop_controller, gaps=1.5),
        Notice("stood still", 0.8),
    ),
    _computer(
        "controller_stopped_long",
        "The controller stands still for 4 times max_loop_gap_s.",
        partial(_stop_controller, gaps=4),
        Notice("stood still|stopped", 2.5),
    ),
    _computer(
        "controller_killed",
        "The controller's process is killed.",
        _kill_controller,
        Ends("its own process is gone"),
    ),
    _computer(
        "control_sigterm",
        "`l0-surgical control` gets SIGTERM in motion.",
        lambda a: _end_control(a, signal.SIGTERM, 130),
        Harmless("it ends in order, and another controller takes over"),
        "before arming",
    ),
    _computer(
        "control_killed",
        "`l0-surgical control` is killed in motion.",
        lambda a: _end_control(a, signal.SIGKILL, -9),
        Harmless("the arm holds, and another controller takes over"),
        "before arming",
    ),
    _computer(
        "controller_doubled",
        "A second controller wants the arm.",
        _another_controller,
        Harmless("it hears the first one's commands and is not armed"),
    ),
    _computer(
        "control_doubled",
        "`l0-surgical control` is started while the arm is held by a controller.",
        _another_control,
        Harmless("it waits and gives up"),
        "holding",
    ),
]
COMPUTER = [
    _computer(
        "clock_set_forward",
        "The computer's clock is set forward by 1 s.",
        partial(_set_clock, seconds=1.0),
        Notice("clock|stamp"),
    ),
    _computer(
        "clock_set_back",
        "The computer's clock is set back by 1 s.",
        partial(_set_clock, seconds=-1.0),
        Notice("clock|stamp"),
    ),
    _computer(
        "clock_set_30ms",
        "The computer's clock is set forward by 30 ms.",
        partial(_set_clock, seconds=0.03),
        Either("below max_clock_step_s"),
    ),
    _computer(
        "clock_set_ready",
        "The computer's clock is set forward by 1 s before a goal is set.",
        partial(_set_clock, seconds=1.0),
        Notice("clock|stamp"),
        "ready",
    ),
    _computer(
        "disk_full",
        "The disk takes no more of the recording.",
        _fill_disk,
        Harmless("the recording ends, the session goes on"),
    ),
    _computer(
        "goals_without_end",
        "Goals one right after the other for 1 s.",
        _goals_without_end,
        Harmless("the last one counts"),
    ),
    _computer(
        "goals_impossible",
        "Goals outside the workspace, in millimetres, of no number.",
        _impossible_goals,
        Harmless("each is refused, and what goes on goes on"),
    ),
]
