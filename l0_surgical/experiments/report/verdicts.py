"""The one place where a measured number is judged against a printed one, and a claim against its evidence.
`RULES` says it in words."""

from collections.abc import Sequence
from enum import Enum

from l0_surgical.experiments.statistics import Estimate

POINTS = 1.0  # percentage points within which a sparsity or a size decrease counts as the printed one
EXACT = 0.1  # the same for a size that follows from arithmetic alone (a misprint of the paper is 0.07 off)
SOLVED = 0.99  # the success rate from which a policy of NeedleReach counts as performing

RULES = {
    "exceeded": "the whole 95 % interval is better than the printed number by more than the tolerance",
    "reproduced": "the interval reaches the printed number, or comes within the tolerance of it",
    "not reproduced": "the whole interval is worse than the printed number by more than the tolerance",
    "not measured": "the results hold nothing to judge by",
    "holds": "of a claim: the data show it in every cell that could be judged",
    "does not hold": "of a claim: the data contradict it in at least half of the cells that could be judged",
    "mixed": "of a claim: the data show it in some cells only, or leave it open",
}
TOLERANCES = (
    "Tolerances: for a reward 1 % of what the printed reward is above the reward of random actions; for a "
    "sparsity or a size decrease "
    f"{POINTS:g} percentage point; for a rank 0; for a size that follows from arithmetic alone {EXACT:g} "
    "points. Where there is one seed only, its value stands for the interval."
)


class Verdict(str, Enum):
    """What the verdict columns say."""

    EXCEEDED = "exceeded"
    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_MEASURED = "not measured"
    HOLDS = "holds"
    FAILS = "does not hold"
    MIXED = "mixed"

    def __str__(self) -> str:
        return self.value


def judge(
    measured: Estimate | float | None, printed: float, tolerance: float, lower_is_better: bool = False
) -> Verdict:
    """The verdict on a number that has a printed one; `tolerance` in its own unit."""
    if measured is None:
        return Verdict.NOT_MEASURED
    low, high = _bounds(measured)
    if lower_is_better:
        low, high, printed = -high, -low, -printed
    if low > printed + tolerance:
        return Verdict.EXCEEDED
    return Verdict.REPRODUCED if high >= printed - tolerance else Verdict.NOT_REPRODUCED


def judge_all(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict on several numbers of one row: the worst of them."""
    order = (Verdict.NOT_MEASURED, Verdict.NOT_REPRODUCED, Verdict.REPRODUCED, Verdict.EXCEEDED)
    return min(verdicts, key=order.index)


def judge_claim(cells: Sequence[bool | None]) -> Verdict:
    """The verdict on a claim: True where a cell shows it, False where it contradicts it, None where it leaves
    it open."""
    if not cells:
        return Verdict.NOT_MEASURED
    if all(cell is True for cell in cells):
        return Verdict.HOLDS
    return Verdict.FAILS if 2 * sum(cell is False for cell in cells) >= len(cells) else Verdict.MIXED


def _bounds(measured: Estimate | float) -> tuple[float, float]:
    if not isinstance(measured, Estimate):
        return measured, measured
    if measured.low is None or measured.high is None:
        return measured.value, measured.value
    return measured.low, measured.high
