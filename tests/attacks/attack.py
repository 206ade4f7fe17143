"""What an attack is, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from l0_surgical.surgical.kinematics import SURROL_WORLD

if TYPE_CHECKING:
    from tests.attacks.attacker import Attacker

POLICY = "needle-reach-l0-compressed"
GOALS = tuple(SURROL_WORLD.point_in_rcm(point) for point in ((2.70, 0.10, 3.4356), (2.74, -0.06, 3.4356)))
"""Where the jaw's tip is to go (m, the arm's base frame)."""
Phase = Literal["before arming", "ready", "approaching", "reaching", "holding"]


@dataclass(frozen=True)
class Notice:
    """The controller must refuse, or end at a fault, with these words (a regular expression), so soon after
    the attacker's first act."""

    words: str
    within_s: float = 0.05


@dataclass(frozen=True)
class Harmless:
    """The controller says nothing and reaches its goals as without it; why that is right."""

    why: str


@dataclass(frozen=True)
class Either:
    """It may be noticed or not; why that is right. Nothing may move too far, and no goal may be said to be
    reached that is not."""

    why: str


@dataclass(frozen=True)
class Ends:
    """The controller's own process is ended: no further command comes, and the arm stays where it was."""

    why: str


Expectation = Notice | Harmless | Either | Ends


@dataclass(frozen=True)
class Attack:
    """One way to fool, disturb or outrun the controller.

    Attributes:
        name: in the table and as the test's name.
        does: one sentence, from the attacker's or the fault's side.
        when: in which phase of the controller it begins.
        act: does it; returns when it is over, at the latest when `Attacker.is_over`.
        expect: what must come of it.
        opens: the command topics on which the attacker publishes, with spaces between: they find their
            readers before anything begins.
        needs_simulation: it uses what only our simulated arm has: it can be told to lie or to fail, or its
            process to stop.
        judged_by: the arm's own topic by which the judge knows where the tool is.
        goals: how many are set one after another.
    """

    name: str
    does: str
    when: Phase
    act: Callable[["Attacker"], None]
    expect: Expectation
    opens: str = ""
    needs_simulation: bool = False
    judged_by: str = "local/measured_cp"
    goals: int = 1
