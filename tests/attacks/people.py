"""Attacks and faults inside the arm: a hand at the clutch, somebody at the console's own controls, the arm's
own failures."""

from functools import partial

from tests.attacks.attack import Attack, Either, Expectation, Notice, Phase
from tests.attacks.attacker import Attacker


def _inject(a: Attacker, fault: str, lasting_s: float = 1.5, moves: bool = False) -> None:
    """Tells the simulated arm."""
    if moves:
        a.moves(lasting_s)
    a.inject(fault)
    a.proceed.set()
    a.wait(lasting_s)
    a.inject("clear")


def _while_ready(a: Attacker, begin: str, end: str, lasting_s: float = 0.6) -> None:
    """Over before a goal is set."""
    a.moves(lasting_s)
    a.inject(begin)
    a.wait(lasting_s)
    a.inject(end)
    a.wait(0.2)


def _inside(
    name: str,
    does: str,
    fault: str,
    expect: Expectation,
    when: Phase = "reaching",
    moves: bool = False,
    lasting_s: float = 1.5,
) -> Attack:
    return Attack(
        name,
        does,
        when,
        partial(_inject, fault=fault, moves=moves, lasting_s=lasting_s),
        expect,
        needs_simulation=True,
    )


def _ready(name: str, does: str, begin: str, end: str, expect: Expectation) -> Attack:
    return Attack(
        name, does, "ready", partial(_while_ready, begin=begin, end=end), expect, needs_simulation=True
    )


TOLD = Notice("setpoint_cp", 0.1)  # until it is max_setpoint_error_m off, and two samples
TAKEN_ANEW = Either(
    "nothing was sent meanwhile, and where the arm was told to be is taken anew when a goal is set"
)
PEOPLE = [
    _inside(
        "clutch",
        "A hand takes the arm by its clutch and moves it.",
        "clutch",
        Notice("busy|setpoint_cp"),
        moves=True,
    ),
    _inside(
        "clutch_approaching",
        "A hand takes the arm by its clutch and moves it.",
        "clutch",
        Notice("busy|setpoint_cp"),
        "approaching",
        True,
    ),
    _inside(
        "clutch_holding",
        "A hand takes the arm by its clutch and moves it.",
        "clutch",
        Notice("busy|setpoint_cp"),
        "holding",
        True,
    ),
    _inside(
        "clutch_before",
        "A hand has the arm by its clutch from before the arming.",
        "clutch",
        Notice("busy|setpoint_cp"),
        "before arming",
        True,
        6.0,
    ),
    _ready(
        "clutch_ready",
        "A hand takes the arm, moves it and lets go before a goal is set.",
        "clutch",
        "clutch_released",
        Either("a hand that has let go moves nothing"),
    ),
    _inside(
        "teleoperation",
        "Somebody moves the arm inside the console: no topic says so.",
        "teleoperate",
        Notice("setpoint_cp", 0.05),
        moves=True,
    ),
    _inside(
        "teleoperation_approaching",
        "Somebody moves the arm inside the console.",
        "teleoperate",
        TOLD,
        "approaching",
        True,
    ),
    _inside(
        "teleoperation_holding",
        "Somebody moves the arm inside the console.",
        "teleoperate",
        TOLD,
        "holding",
        True,
    ),
    _inside(
        "teleoperation_into_motion",
        "Somebody moves the arm inside the console from before a goal is set.",
        "teleoperate",
        Notice("setpoint_cp", 2.0),
        "ready",
        True,
        6.0,
    ),
    _ready(
        "teleoperation_ready",
        "Somebody moves the arm inside the console before a goal is set.",
        "teleoperate",
        "teleoperate_end",
        TAKEN_ANEW,
    ),
]
FAILURES = [
    _inside(
        "arm_freezes", "measured_cp stays what it was, with new stamps.", "freeze", Notice("measured_cp", 0.3)
    ),
    _inside("arm_faults", "The arm's own supervision stops it.", "fault", Notice("FAULT")),
    _inside("arm_pauses", "The arm pauses by itself.", "pause", Notice("PAUSED")),
    _inside("arm_unhomes", "The arm is no longer homed.", "unhome", Notice("homed")),
    _inside("arm_goes_stale", "measured_cp is 1 s old.", "stale", Notice("measured_cp")),
    _inside("arm_jumps", "measured_cp jumps by 20 mm.", "jump", Notice("measured_cp")),
]
