"""What of a scene's result must not be: the four kinds of escapes, and what else went wrong."""

import re

from l0_surgical.robot.control.limits import Limits
from tests.attacks.attack import Attack, Either, Ends, Harmless, Notice
from tests.attacks.stage import Result

OUTSIDE_MM = 2.0
ANSWER_S = 0.1
_ROUNDING_MM = 1e-3
_END_S = 0.05


def escapes(attack: Attack, result: Result, limits: Limits, patience_s: float = 0.0) -> dict[str, str]:
    """The escapes, by their kind; none where all is well.

    Kinds: outside (the tool left the workspace through a command of the controller), step (such a command
    moved the arm too far), unnoticed (or noticed as something else, or too late), false goal; late answer (to
    a disarming during a flood), disturbed (what is harmless was not), trouble (of the scene).

    Args:
        patience_s: how much later than at a robot's computer it may be noticed.
    """
    found: dict[str, str] = {}
    most_mm = 1e3 * limits.max_step_m + _ROUNDING_MM
    if result.trouble is not None:
        found["trouble"] = result.trouble
    if result.outside_mm > OUTSIDE_MM + most_mm:
        found["outside"] = (
            f"the tool was {result.outside_mm:.2f} mm outside the workspace (at most "
            f"{OUTSIDE_MM + most_mm:.2f})"
        )
    if result.step_mm > most_mm:
        found["step"] = f"one command moved the arm by {result.step_mm:.2f} mm (at most {most_mm:.2f})"
    if result.falsely_reached:
        found["false goal"] = f"a goal was said to be reached and was {result.farthest_mm:.1f} mm off"
    if result.answer_ms is not None and result.answer_ms > 1e3 * (ANSWER_S + patience_s):
        found["late answer"] = (
            f"disarm was answered after {result.answer_ms:.0f} ms (at most {1e3 * (ANSWER_S + patience_s):g})"
        )
    match attack.expect:
        case Notice():
            if reason := _unnoticed(attack, attack.expect, result, patience_s):
                found["unnoticed"] = reason
        case Harmless():
            if result.said is not None or result.reached < result.goals or not result.goals:
                found["disturbed"] = f"{result.reached} of {result.goals} goals, said: {result.said}"
        case Ends():
            if result.went_on_s is None or result.went_on_s > _END_S + patience_s:
                found["unnoticed"] = f"commands went on for {result.went_on_s} s"
        case Either():
            pass
    return found


def _unnoticed(attack: Attack, expect: Notice, result: Result, patience_s: float) -> str | None:
    if result.said is None:
        return f"nothing was said; {result.reached} of {result.goals} goals reached"
    if not re.search(expect.words, result.said):
        return f"said {result.said!r}, which has not {expect.words!r}"
    if attack.when == "before arming":
        return f"noticed only after {result.commands} commands" if result.commands else None
    if result.noticed_ms is None or result.noticed_ms > 1e3 * (expect.within_s + patience_s):
        return f"noticed after {result.noticed_ms} ms (at most {1e3 * (expect.within_s + patience_s):g})"
    return None
