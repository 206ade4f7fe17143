"""The paper's claims about the classic environments, each judged from the data."""

from collections.abc import Callable, Sequence

import numpy as np

from l0_surgical.experiments.intervals import differences
from l0_surgical.experiments.report.analysis import MEASURES, RULES, CellAnalysis, regularizers
from l0_surgical.experiments.report.classic import ClassicResults, name_of
from l0_surgical.experiments.report.content import Column, Table, Value
from l0_surgical.experiments.report.printed import policy
from l0_surgical.experiments.report.verdicts import Verdict, judge_claim
from l0_surgical.experiments.selection import Comparison

STRONG = 0.5
Evidence = Callable[[CellAnalysis], bool | None]


def claims_table(claims: Sequence[Sequence[Value]]) -> Table:
    """The claims of every results folder."""
    columns = [Column(title, text=True) for title in ("Claim of the paper", "What is found here", "Verdict")]
    caption = (
        "Holds: shown in every cell that could be judged. Does not hold: contradicted in at least half "
        "of them. Mixed: anything else. "
    )
    caption += (
        "Behind the point: which sparse policies were judged (the rules are stated below), and how many "
        "seeds of each."
    )
    return Table("claims", "Claims and verdicts", caption, columns, claims)


def classic_claims(results: ClassicResults, analyses: Sequence[CellAnalysis]) -> list[list[Value]]:
    """The claims of Sections 5.1.1, 5.2, 5.3 and A.2: claim, what is found, verdict."""
    paper = [
        _claim(
            "Sparse policies keep the dense reward (paper's rule)", analyses, _keeps, ("kept", "lost", "open")
        ),
        _claim(
            "Sparse policies exceed the dense reward in Acrobot and LunarLander",
            _without(analyses, "cartpole"),
            _exceeds,
            _YES_NO,
        ),
        _sparsity(analyses),
        _claim(
            "Sparse policies compress to lower ranks than dense ones",
            analyses,
            _compresses,
            ("lower", "not lower", "open"),
        ),
        _claim(
            "Sparse policies need more steps to converge", analyses, _slower, ("more", "not more", "open")
        ),
    ]
    every = [_lambda_and_sparsity(analyses), _lambda_and_reward(analyses)]
    seeds = len({row["seed"] for row in results.members})
    rows = [*_judged_by(RULES["paper"], seeds, paper), *_judged_by("every λ", seeds, every)]
    if {"l1", "l2"} & set(regularizers(results)):
        words = "L0 gives more sparsity than L1 and L2 at the dense reward (the paper: in Mario)"
        complete = [a for a in analyses if results.sparse(a.cell, "l1") and results.sparse(a.cell, "l2")]
        rows += _judged_by(
            RULES["doubt"], seeds, [_claim(words, complete, _beats, ("more", "not more", "open"))]
        )
    return rows


def _judged_by(policies: str, seeds: int, claims: Sequence[list[Value]]) -> list[list[Value]]:
    """The claims with the policies that they were judged by in what was found."""
    words = f" · {policies}, {seeds} seeds"
    return [
        [claim, found if verdict is Verdict.NOT_MEASURED else f"{found}{words}", verdict]
        for claim, found, verdict in claims
    ]


_YES_NO = ("higher", "not higher", "open")


def _claim(
    claim: str, analyses: Sequence[CellAnalysis], evidence: Evidence, words: tuple[str, str, str]
) -> list[Value]:
    found = [(a, evidence(a)) for a in analyses if a.dense and a.results.sparse(a.cell)]
    parts = []
    for state, word in zip((True, False, None), words, strict=True):
        names = [name_of(a.cell) for a, value in found if value is state]
        if names:
            parts.append(
                f"{word} in all {len(found)}"
                if len(names) == len(found) > 1
                else f"{word} in {len(names)} of {len(found)} ({', '.join(names)})"
            )
    return [claim, "; ".join(parts) or "no cell to judge by", judge_claim([value for _, value in found])]


def _keeps(a: CellAnalysis) -> bool | None:
    found = _picked(a)
    return None if found is None else True if found.is_kept else False if found.is_lost else None


def _exceeds(a: CellAnalysis) -> bool | None:
    found = _picked(a)
    if found is None or found.difference.high is None:
        return None
    return True if found.is_higher else False if found.difference.high <= found.tolerance else None


def _compresses(a: CellAnalysis) -> bool | None:
    dense, sparse = a.lowest_ranks(0.0, "none"), a.lowest_ranks(a.pick("paper"))
    return _shown(sparse, dense, sign=-1)


def _slower(a: CellAnalysis) -> bool | None:
    sparse, dense = (
        [row["steps_to_target"] for row in rows if row["steps_to_target"] is not None]
        for rows in (a.policies(a.pick("paper")), a.dense)
    )
    return _shown(sparse, dense, sign=1)


def _beats(a: CellAnalysis) -> bool | None:
    best = {
        name: a.estimate(a.policies(a.pick("doubt", name), name), "sparsity") for name in ("l0", "l1", "l2")
    }
    if best["l0"] is None or best["l0"].low is None:
        return None
    others = [
        found for name, found in best.items() if name != "l0" and found is not None and found.high is not None
    ]
    if all(best["l0"].low > found.high for found in others):
        return True
    return False if any(found.value >= best["l0"].value for found in others) else None


def _sparsity(analyses: Sequence[CellAnalysis]) -> list[Value]:
    shown = [policy(a.cell, "sparse")["sparsity"] for a in analyses]
    low, high = min(shown), max(shown)
    found = [
        (a.estimate(rows, "sparsity", 100), a.estimate(rows, "sparsity_at_init", 100))
        for a in analyses
        if (rows := a.policies(a.pick("paper")))
    ]
    claim = f"The best sparse policies are {low:.0f} to {high:.0f} % sparse"
    if not found:
        return [claim, "no cell to judge by", Verdict.NOT_MEASURED]
    values = [final.value for final, _ in found]
    initial = [start.value for _, start in found if start is not None]
    there = f"; at initialisation {_percent(initial)}" if initial else ""
    verdict = Verdict.EXCEEDED if min(values) > high else judge_claim([value >= low - 1 for value in values])
    return [claim, f"{_percent(values)}{there}", verdict]


def _percent(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _lambda_and_sparsity(analyses: Sequence[CellAnalysis]) -> list[Value]:
    claim = (
        f"λ has no uniform effect on sparsity: correlation strong (above {STRONG:g}) in most cells, "
        "weak in some"
    )
    values = _correlations(analyses, "sparsity")
    if len(values) == 0:
        return [claim, "no cell to judge by", Verdict.NOT_MEASURED]
    strong = sum(values > STRONG)
    verdict = (
        Verdict.FAILS
        if strong == len(values)
        else Verdict.HOLDS
        if strong > len(values) / 2
        else Verdict.MIXED
    )
    return [claim, f"Spearman's correlation {_range(values)}; strong in {strong} of {len(values)}", verdict]


def _lambda_and_reward(analyses: Sequence[CellAnalysis]) -> list[Value]:
    claim = f"λ hardly affects the reward (correlation at most {STRONG:g} in size)"
    values = _correlations(analyses, "reward")
    verdict = judge_claim([bool(abs(value) <= STRONG) for value in values])
    return [
        claim,
        f"Spearman's correlation {_range(values)}" if len(values) else "no cell to judge by",
        verdict,
    ]


def _correlations(analyses: Sequence[CellAnalysis], measure: str) -> np.ndarray:
    values = np.array([a.correlations[MEASURES.index("λ"), MEASURES.index(measure)] for a in analyses])
    return values[~np.isnan(values)]


def _range(values: np.ndarray) -> str:
    return f"{min(values):.2f} to {max(values):.2f}".replace("-", "−")


def _picked(a: CellAnalysis) -> Comparison | None:
    coefficient = a.pick("paper")
    return None if coefficient is None else a.comparisons.get(("l0", coefficient))


def _shown(ours: Sequence[float], base: Sequence[float], sign: int) -> bool | None:
    """Whether the difference has that sign: False where it is shown to be zero or of the other sign."""
    (found,) = differences([ours], base)
    if found is None or found.low is None or found.high is None:
        return None
    low, high = sorted((sign * found.low, sign * found.high))
    return True if low > 0 else False if high <= 0 else None


def _without(analyses: Sequence[CellAnalysis], environment: str) -> list[CellAnalysis]:
    return [a for a in analyses if a.cell[0] != environment]
