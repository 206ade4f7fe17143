"""The paper's claims about the classic environments, each judged from the data."""

from collections.abc import Callable, Sequence

import numpy as np

from l0_surgical.experiments.report.analysis import MEASURES, ClassicResults, GroupAnalysis
from l0_surgical.experiments.report.classic import printed_policy
from l0_surgical.experiments.report.content import TEXT, Table, Value
from l0_surgical.experiments.report.verdicts import Verdict, judge_claim
from l0_surgical.experiments.selection import RULES, Comparison
from l0_surgical.experiments.statistics import differences

STRONG = 0.5
Evidence = Callable[[GroupAnalysis], bool | None]
Claim = list[Value]
NOTHING = ("no cell to judge by", Verdict.NOT_MEASURED)


def claims_table(claims: Sequence[Sequence[Value]]) -> Table:
    """The claims of every results folder."""
    formats = dict.fromkeys(("Claim of the paper", "What is found here", "Verdict"), TEXT)
    return Table("claims", formats, claims)


def classic_claims(results: ClassicResults) -> list[Claim]:
    """The claims of Sections 5.1.1, 5.2, 5.3 and A.2: claim, what is found, verdict."""
    groups = results.groups
    seeds = results.members["seed"].nunique()
    without_cartpole = [a for a in groups if a.group[0] != "cartpole"]
    exceeds = "Sparse policies exceed the dense reward in Acrobot and LunarLander"
    lower = "Sparse policies compress to lower ranks than dense ones"
    paper = [
        _claim("Sparse policies keep the dense reward (paper's rule)", groups, _keeps, "kept", "lost"),
        _claim(exceeds, without_cartpole, _exceeds, "higher", "not higher"),
        _sparsity(groups),
        _claim(lower, groups, _compresses, "lower", "not lower"),
        _claim("Sparse policies need more steps to converge", groups, _slower, "more", "not more"),
    ]
    every = [_lambda_and_sparsity(groups), _lambda_and_reward(groups)]
    rows = [*_judged_by(RULES["paper"], seeds, paper), *_judged_by("every λ", seeds, every)]
    if {"l1", "l2"} & set(results.regularizers):
        words = "L0 gives more sparsity than L1 and L2 at the dense reward (the paper: in Mario)"
        complete = [a for a in groups if len(a.sparse("l1")) and len(a.sparse("l2"))]
        rows += _judged_by(RULES["doubt"], seeds, [_claim(words, complete, _beats, "more", "not more")])
    return rows


def _judged_by(policies: str, seeds: int, claims: Sequence[Claim]) -> list[Claim]:
    """The claims with the policies that they were judged by in what was found."""
    words = f" · {policies}, {seeds} seeds"
    return [
        [claim, found if verdict is Verdict.NOT_MEASURED else f"{found}{words}", verdict]
        for claim, found, verdict in claims
    ]


def _claim(claim: str, groups: Sequence[GroupAnalysis], evidence: Evidence, yes: str, no: str) -> Claim:
    found = [(a.name, evidence(a)) for a in groups if len(a.dense) and len(a.sparse())]
    parts = []
    for state, word in ((True, yes), (False, no), (None, "open")):
        names = [name for name, value in found if value is state]
        if len(names) == len(found) > 1:
            parts.append(f"{word} in all {len(found)}")
        elif names:
            parts.append(f"{word} in {len(names)} of {len(found)} ({', '.join(names)})")
    return [claim, "; ".join(parts) or NOTHING[0], judge_claim([value for _, value in found])]


def _keeps(a: GroupAnalysis) -> bool | None:
    found = _picked(a)
    return None if found is None else True if found.is_kept else False if found.is_lost else None


def _exceeds(a: GroupAnalysis) -> bool | None:
    found = _picked(a)
    if found is None or found.difference.high is None:
        return None
    return True if found.is_higher else False if found.difference.high <= found.tolerance else None


def _compresses(a: GroupAnalysis) -> bool | None:
    return _shown(a.lowest_ranks(a.pick("paper")), a.lowest_ranks(0.0, "none"), sign=-1)


def _slower(a: GroupAnalysis) -> bool | None:
    steps = lambda policies: policies["steps_to_target"].dropna().tolist()  # noqa: E731
    return _shown(steps(a.policies(a.pick("paper"))), steps(a.dense), sign=1)


def _beats(a: GroupAnalysis) -> bool | None:
    names = ("l0", "l1", "l2")
    best, *others = (a.estimate(a.policies(a.pick("doubt", name), name), "sparsity") for name in names)
    if best is None or best.low is None:
        return None
    others = [found for found in others if found is not None and found.high is not None]
    if all(best.low > found.high for found in others):
        return True
    return False if any(found.value >= best.value for found in others) else None


def _sparsity(groups: Sequence[GroupAnalysis]) -> Claim:
    shown = [printed_policy(a.group, "sparse")["sparsity"] for a in groups]
    low, high = min(shown), max(shown)
    claim = f"The best sparse policies are {low:.0f} to {high:.0f} % sparse"
    picked = [(a, rows) for a in groups if len(rows := a.policies(a.pick("paper")))]
    if not picked:
        return [claim, *NOTHING]
    values, initial = (
        [found.value for a, rows in picked if (found := a.estimate(rows, column, 100)) is not None]
        for column in ("sparsity", "sparsity_at_init")
    )
    there = f"; at initialisation {_percent(initial)}" if initial else ""
    verdict = Verdict.EXCEEDED if min(values) > high else judge_claim([value >= low - 1 for value in values])
    return [claim, f"{_percent(values)}{there}", verdict]


def _percent(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _lambda_and_sparsity(groups: Sequence[GroupAnalysis]) -> Claim:
    claim = (
        f"λ has no uniform effect on sparsity: correlation strong (above {STRONG:g}) in most cells, "
        "weak in some"
    )
    values = _correlations(groups, "sparsity")
    if len(values) == 0:
        return [claim, *NOTHING]
    strong = sum(values > STRONG)
    most = Verdict.HOLDS if strong > len(values) / 2 else Verdict.MIXED
    verdict = Verdict.FAILS if strong == len(values) else most
    return [claim, f"Spearman's correlation {_range(values)}; strong in {strong} of {len(values)}", verdict]


def _lambda_and_reward(groups: Sequence[GroupAnalysis]) -> Claim:
    claim = f"λ hardly affects the reward (correlation at most {STRONG:g} in size)"
    values = _correlations(groups, "reward")
    if len(values) == 0:
        return [claim, *NOTHING]
    verdict = judge_claim([bool(abs(value) <= STRONG) for value in values])
    return [claim, f"Spearman's correlation {_range(values)}", verdict]


def _correlations(groups: Sequence[GroupAnalysis], measure: str) -> np.ndarray:
    """Of the coefficient, the first of the measures, with another one."""
    values = np.array([a.correlations[0, list(MEASURES).index(measure)] for a in groups])
    return values[~np.isnan(values)]


def _range(values: np.ndarray) -> str:
    return f"{min(values):.2f} to {max(values):.2f}".replace("-", "−")


def _picked(a: GroupAnalysis) -> Comparison | None:
    return a.comparisons.get(("l0", a.pick("paper")))


def _shown(ours: Sequence[float], base: Sequence[float], sign: int) -> bool | None:
    """Whether the difference has that sign: False where it is shown to be zero or of the other sign."""
    (found,) = differences([ours], base)
    if found is None or found.low is None or found.high is None:
        return None
    low, high = sorted((sign * found.low, sign * found.high))
    return True if low > 0 else False if high <= 0 else None
