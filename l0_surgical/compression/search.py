"""Choosing rank and representation by evidence: the smallest policy that keeps what was asked for, over
paired episodes.

Kept fraction of a candidate, for every task alike: (R - R_random) / (R_original - R_random), where R are mean
returns over the same episodes and R_random is the return of uniformly random actions on them. A candidate is
accepted if the one-sided lower confidence bound of its kept fraction reaches `keep`, and its successes reach
`keep` times the original's where the task reports success. The bound is Fieller's: it reaches `keep` exactly
if Student's t test accepts that mean(R - R_random - keep (R_original - R_random)) >= 0.

Searching over many candidates favours lucky ones, so the search uses one half of the validation episodes and
the choice must pass again on the other half. Report figures from the `test` stream only: it is never touched
here.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from l0_surgical.compression.reduction import LayerTrace, Method, reduce_layers, trace
from l0_surgical.evaluation import Episode, Stream, episode_seeds, mean_interval
from l0_surgical.evaluation.remembering import RememberingEvaluator, evaluating
from l0_surgical.policy import Policy
from l0_surgical.policy.low_rank import fold, layer_shapes, paper_parameters, size_decrease_percent
from l0_surgical.policy.simplify import simplify
from l0_surgical.system.errors import BadInputError

# tolerances; level 0 drops only what has no effect on the traced observations, the last ones nearly
# everything
LEVELS = (0.0, *np.geomspace(0.003, 0.9, 30), *(1.0 - np.geomspace(0.08, 0.005, 9)))
METHODS: tuple[Method, ...] = ("sparse", "low_rank")
REFINEMENTS = (4, 2, 1)  # levels by which one layer alone is reduced further
TRACED_OBSERVATIONS = 5000
# share of random actions in half of the traced episodes: a reduced policy strays a little from the original's
# paths
DISTURBED = 0.1


def rank_sweep(
    policy: Policy,
    ranks: Sequence[int],
    episodes: int = 100,
    seed: int = 0,
    jobs: int = 1,
    *,
    task: str | None = None,
    stream: Stream = "validation",
    progress: Callable[[int], None] | None = None,
    evaluator: RememberingEvaluator | None = None,
) -> list[dict[str, Any]]:
    """One rank for all layers, as in the paper (Figs. 16 to 18, 32, 33), all ranks over the same episodes.

    `parameters_paper` and `size_decrease_percent` use the paper's accounting, against the dense network;
    `parameters` and `bytes` are what is really stored. `progress` is told the number of ranks done so far. An
    `evaluator` that is given takes the place of `task` and `jobs`.

    Raises:
        BadInputError: no ranks, a rank below 1, or a policy that does not fit the task.
    """
    if not ranks:
        raise BadInputError("the range of ranks is empty; give for example 5:60:5")
    shapes = layer_shapes(policy)
    folded = [fold(policy, rank) for rank in ranks]
    rows = []
    with evaluating(evaluator, task or policy.task, jobs) as running:
        for rank, candidate in zip(ranks, folded, strict=True):
            result = running.evaluate(candidate, stream, seed, episodes).as_dict()
            count = paper_parameters(shapes, rank)
            rows.append(
                {
                    "rank": int(rank),
                    "parameters_paper": count,
                    "parameters": candidate.numbers,
                    "bytes": candidate.nbytes,
                    "size_decrease_percent": size_decrease_percent(count, policy.trained_parameters),
                    "return_mean": result["return_mean"],
                    "return_ci95": result["return_ci95"],
                    "success_rate": result["success_rate"],
                }
            )
            if progress is not None:
                progress(len(rows))
    return rows


def lowest_rank(
    policy: Policy,
    ranks: Sequence[int],
    keep: float,
    confidence: float,
    episodes: int,
    seed: int,
    evaluator: RememberingEvaluator,
) -> int | None:
    """The lowest of `ranks` at which the policy folded to it provably keeps the fraction `keep` of its
    return; None if there is none.

    The validation episodes are those of `rank_sweep`, so that with the same `evaluator` no rank is run again.

    Raises:
        BadInputError: as for `compress`.
    """
    _check_keep(keep, confidence)
    judge = _judge(evaluator, policy, episode_seeds("validation", seed, episodes), keep, confidence)
    return next((rank for rank in sorted(ranks) if judge.judge(fold(policy, rank))["accepted"]), None)


def kept_fraction(
    candidate: np.ndarray, original: np.ndarray, random: np.ndarray, confidence: float = 0.95
) -> tuple[float, float]:
    """The kept fraction and its one-sided lower confidence bound, from the returns (E,) of paired episodes.

    The bound solves (a - k b)^2 = t^2 Var(a - k b) for the mean gains a, b of candidate and original over
    random actions (E. C. Fieller, JRSS B 16, 1954); so nothing is known where b is not significantly above
    zero.

    Raises:
        BadInputError: fewer than two episodes, or an original that is not significantly better than random
        actions.
    """
    gains = np.stack([candidate - random, original - random])
    episodes = gains.shape[1]
    if episodes < 2:
        raise BadInputError(f"{episodes} episode says nothing about confidence; give at least 2")
    a, b = gains.mean(axis=1)
    (var_a, cov), (_, var_b) = np.cov(gains) / episodes
    t2 = stdtrit(episodes - 1, confidence) ** 2
    squared, linear, constant = b * b - t2 * var_b, a * b - t2 * cov, a * a - t2 * var_a
    if b <= 0 or squared <= 0:
        raise BadInputError(
            f"the policy's mean return {original.mean():.4g} is not significantly above the "
            f"{random.mean():.4g} of random actions over "
            f"{episodes} episodes, so there is nothing to keep; train it further or give more episodes"
        )
    return float(a / b), float((linear - math.sqrt(max(0.0, linear * linear - squared * constant))) / squared)


@dataclass(frozen=True)
class _Judge:
    """Paired episodes with the results of the original and of random actions on them."""

    evaluator: RememberingEvaluator
    seeds: list[int]
    original: list[Episode]
    random: list[Episode]
    keep: float
    confidence: float

    def judge(self, policy: Policy) -> dict[str, Any]:
        """The figures of a candidate, with the verdict in `accepted`."""
        episodes = self.evaluator.run(policy, self.seeds)
        returns = [_returns(group) for group in (episodes, self.original, self.random)]
        fraction, bound = kept_fraction(*returns, self.confidence)
        succeeded, expected = (
            sum(bool(episode.success) for episode in group) for group in (episodes, self.original)
        )
        reported = any(episode.success is not None for episode in episodes)
        return {
            "parameters": policy.numbers,
            "bytes": policy.nbytes,
            "return_mean": float(returns[0].mean()),
            "return_ci95": mean_interval(returns[0]),
            "success_rate": succeeded / len(episodes) if reported else None,
            "kept_fraction": fraction,
            "kept_lower_bound": bound,
            # the tolerance admits a candidate that acts exactly as the original at keep = 1
            "accepted": bound >= self.keep - 1e-9 and succeeded >= self.keep * expected - 1e-9,
        }


@dataclass
class _Search:
    """The candidates of one method by the level of each layer, made once each, with the verdicts of those
    that were tried."""

    method: Method
    policy: Policy
    traces: list[LayerTrace]
    judge: _Judge
    progress: Callable[[str], None] | None
    candidates: dict[tuple[int, ...], Policy] = dataclasses.field(default_factory=dict)
    rows: dict[tuple[int, ...], dict[str, Any]] = dataclasses.field(default_factory=dict)

    def candidate(self, levels: tuple[int, ...]) -> Policy:
        """The policy reduced at these levels."""
        if levels not in self.candidates:
            self.candidates[levels] = reduce_layers(
                self.policy, self.traces, [LEVELS[level] for level in levels], self.method
            )
        return self.candidates[levels]

    def accepts(self, levels: tuple[int, ...]) -> bool:
        """Whether the candidate passes on the episodes of the search."""
        if levels not in self.rows:
            verdict = self.judge.judge(self.candidate(levels))
            tolerances = [float(LEVELS[level]) for level in levels]
            self.rows[levels] = {"method": self.method, "tolerances": tolerances, **verdict}
            _tell(self.progress, f"{self.method} {len(self.rows)}", verdict)
        return bool(self.rows[levels]["accepted"])

    def run(self, limit: int) -> int:
        """Bisects for the largest level of all layers together that passes, as if passing were monotonous,
        and refines from there.

        Only policies of fewer than `limit` bytes are tried: larger ones count as passed. Returns the bytes of
        the smallest that passed.
        """
        layers = len(self.policy.layers)
        low, high = -1, len(LEVELS)
        while high - low > 1:
            middle = (low + high) // 2
            levels = (middle,) * layers
            passes = self.candidate(levels).nbytes >= limit or self.accepts(levels)
            low, high = (middle, high) if passes else (low, middle)
        if (low,) * layers in self.rows:
            self._refine((low,) * layers)
        return min([limit, *(row["bytes"] for row in self.rows.values() if row["accepted"])])

    def _refine(self, levels: tuple[int, ...]) -> None:
        """Reduces one layer after the other further, by smaller and smaller steps, as long as the policy gets
        smaller and passes."""
        for step in REFINEMENTS:
            for layer in range(len(levels)):
                further = (*levels[:layer], min(levels[layer] + step, len(LEVELS) - 1), *levels[layer + 1 :])
                if self.candidate(further).nbytes < self.candidate(levels).nbytes and self.accepts(further):
                    levels = further


def compress(
    policy: Policy,
    keep: float = 0.99,
    confidence: float = 0.95,
    episodes: int = 100,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
    *,
    task: str | None = None,
    methods: Sequence[Method] = METHODS,
    evaluator: RememberingEvaluator | None = None,
) -> tuple[Policy, dict[str, Any]]:
    """The smallest policy found that keeps the fraction `keep` of the return at the given confidence, with a
    report ready for JSON.

    Lossy candidates of the `methods`, sparse and low rank (see `_reduction`), are searched by bisection over
    one tolerance for all layers, then refined layer by layer. The search uses `episodes` validation episodes;
    the smallest that passed must pass again on as many others. If none does, the result is the policy
    simplified exactly, which acts the same. The result depends on `policy`, `seed` and the settings, not on
    `jobs`. `progress` is told one line per candidate. An `evaluator` that is given takes the place of `task`
    and `jobs`; what it has run before, for example in another search, is not run again.

    Raises:
        BadInputError: keep outside (0, 1], confidence outside [0.5, 1), a policy that does not fit the task
        or is no better than random.
    """
    _check_keep(keep, confidence)
    seeds = episode_seeds("validation", seed, 2 * episodes)
    exact = simplify(policy)
    with evaluating(evaluator, task or policy.task, jobs) as running:
        searching, confirming = (
            _judge(running, policy, half, keep, confidence) for half in (seeds[:episodes], seeds[episodes:])
        )
        disturbed = running.run(policy, searching.seeds, keep_observations=True, random_share=DISTURBED)
        traces = trace(exact, _observations([*searching.original, *disturbed]))
        searches = [_Search(method, exact, traces, searching, progress) for method in methods]
        limit = exact.nbytes
        for search in searches:
            limit = search.run(limit)
        passed = [
            (row, search.candidate(key))
            for search in searches
            for key, row in search.rows.items()
            if row["accepted"]
        ]
        fallback = {"method": "exact", "tolerances": [], **searching.judge(exact)}
        for row, candidate in [*sorted(passed, key=lambda pair: pair[1].nbytes), (fallback, exact)]:
            confirmation = confirming.judge(candidate)
            _tell(progress, f"confirmation of {row['method']}", confirmation)
            chosen, result = {**row, "confirmation": confirmation}, candidate
            if confirmation["accepted"]:
                break
    chosen |= {
        "trained_parameters": policy.trained_parameters,
        "size_decrease_percent": size_decrease_percent(result.numbers, policy.trained_parameters),
    }
    settings = {"keep": keep, "confidence": confidence, "episodes": episodes, "seed": seed}
    report = {
        "settings": settings,
        "original": _reference(policy, searching.original),
        "random": _reference(None, searching.random),
        "candidates": [fallback, *(row for search in searches for row in search.rows.values())],
        "chosen": chosen,
    }
    provenance = {**policy.provenance, "compression": {**settings, "chosen": chosen}}
    return dataclasses.replace(result, provenance=provenance, evaluation={}), report


def _check_keep(keep: float, confidence: float) -> None:
    if not 0 < keep <= 1:
        raise BadInputError(
            f"cannot keep the fraction {keep} of the return; give one above 0 and at most 1, for example 0.99"
        )
    if not 0.5 <= confidence < 1:
        raise BadInputError(
            f"the confidence {confidence} is out of range; give one from 0.5 to below 1, for example 0.95"
        )


def _judge(
    evaluator: RememberingEvaluator, policy: Policy, seeds: list[int], keep: float, confidence: float
) -> _Judge:
    original = evaluator.run(policy, seeds, keep_observations=True)
    return _Judge(
        evaluator, seeds, original, evaluator.run(policy, seeds, random_share=1.0), keep, confidence
    )


def _returns(episodes: Sequence[Episode]) -> np.ndarray:
    return np.array([episode.total_reward for episode in episodes])


def _observations(episodes: Sequence[Episode]) -> np.ndarray:
    """At most TRACED_OBSERVATIONS of the observations (N, obs_dim), evenly spread over the episodes."""
    stacked = np.concatenate(
        [episode.observations for episode in episodes if episode.observations is not None]
    )
    return stacked[np.linspace(0, len(stacked) - 1, min(len(stacked), TRACED_OBSERVATIONS)).astype(int)]


def _reference(policy: Policy | None, episodes: Sequence[Episode]) -> dict[str, Any]:
    reported = any(episode.success is not None for episode in episodes)
    return {
        "parameters": None if policy is None else policy.numbers,
        "bytes": None if policy is None else policy.nbytes,
        "return_mean": float(_returns(episodes).mean()),
        "success_rate": sum(bool(episode.success) for episode in episodes) / len(episodes)
        if reported
        else None,
    }


def _tell(progress: Callable[[str], None] | None, what: str, verdict: dict[str, Any]) -> None:
    if progress is not None:
        answer = "accepted" if verdict["accepted"] else "refused"
        progress(
            f"{what}: {verdict['parameters']} numbers, kept at least {verdict['kept_lower_bound']:.4f}, "
            f"{answer}"
        )
