"""Compression keeps what was asked for and finds what is there to remove; the reductions and the bound
against their definitions."""

import collections
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import point_reach
import pytest
from example_policies import random_policy
from scipy.special import stdtrit

from l0_surgical.compression import compress, kept_fraction, rank_sweep
from l0_surgical.compression.reduction import _refit, reduce_layers, trace
from l0_surgical.compression.request import Request, compress_to
from l0_surgical.evaluation import Evaluator, episode_seeds, evaluate
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.policy import Dense, Layer, LowRank, Policy, policy_bytes, save_policy
from l0_surgical.policy.low_rank import fold, paper_parameters
from l0_surgical.runtime import ReferenceEngine
from l0_surgical.system.errors import BadInputError


def observations(count: int = 600, size: int = 10) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, size))


def test_the_bound_of_the_kept_fraction_is_the_paired_t_test() -> None:
    generator = np.random.default_rng(0)
    random = generator.normal(-50, 1, 40)
    original = generator.normal(-5, 2, 40)
    candidate = original + generator.normal(-0.2, 0.3, 40)
    fraction, bound = kept_fraction(candidate, original, random, 0.95)
    assert fraction == pytest.approx((candidate - random).mean() / (original - random).mean())
    assert 0.99 < bound < fraction < 1.0
    # at k = bound the lower limit of mean(c - r - k (o - r)) is exactly zero
    difference = candidate - random - bound * (original - random)
    assert difference.mean() == pytest.approx(
        stdtrit(39, 0.95) * difference.std(ddof=1) / np.sqrt(40), rel=1e-6
    )
    assert kept_fraction(original, original, random) == pytest.approx((1.0, 1.0))
    assert kept_fraction(candidate, original, random, 0.999)[1] < bound


def test_the_bound_covers_as_often_as_it_says() -> None:
    """The true fraction is 0.97; the 90 % bound must lie below it in 90 % of 2000 experiments, up to four
    standard errors."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        original = generator.normal(100, 10, 30)
        candidate = 0.97 * original + generator.normal(0, 5, 30)
        covered += kept_fraction(candidate, original, np.zeros(30), 0.90)[1] <= 0.97
    assert covered / 2000 == pytest.approx(0.90, abs=4 * np.sqrt(0.09 / 2000))


def test_a_policy_no_better_than_random_has_nothing_to_keep() -> None:
    random = np.random.default_rng(0).normal(size=20)
    for original in (random - 1, random[::-1], np.full(20, random.mean() + 1e-3)):
        with pytest.raises(BadInputError, match="nothing to keep"):
            kept_fraction(original, original, random)
    with pytest.raises(BadInputError, match="at least 2"):
        kept_fraction(*np.ones((3, 1)))


@pytest.mark.parametrize("method", ["sparse", "low_rank"])
def test_a_zero_tolerance_acts_the_same(method: str) -> None:
    policy = random_policy(seed=2, density=0.5)
    reduced = reduce_layers(policy, trace(policy, observations()), [0.0] * 3, method)
    actions = ReferenceEngine(policy).act(observations())
    assert np.abs(ReferenceEngine(reduced).act(observations()) - actions).max() < 5e-3


@pytest.mark.parametrize("method", ["sparse", "low_rank"])
def test_larger_tolerances_are_smaller_and_nested(method: str) -> None:
    policy = random_policy(seed=2, widths=(10, 40, 40, 5))
    traces = trace(policy, observations())
    actions = ReferenceEngine(policy).act(observations())
    sizes, errors = [], []
    for tolerance in (0.05, 0.2, 0.4, 0.8):
        reduced = reduce_layers(policy, traces, [tolerance] * 3, method)
        sizes.append(reduced.nbytes)
        errors.append(
            np.sqrt(np.mean((ReferenceEngine(reduced).act(observations()) - actions) ** 2)) / actions.std()
        )
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 3
    assert errors[0] < 0.1 and errors[0] < errors[-1]


def test_refitting_halves_the_error_of_plain_magnitude_pruning() -> None:
    policy = random_policy(seed=5, widths=(10, 40, 40, 5))
    reduced = reduce_layers(policy, trace(policy, observations()), [0.5] * 3, "sparse")
    kept = sum(int(np.count_nonzero(layer.weight.to_dense())) for layer in reduced.layers)
    magnitudes = np.sort(np.concatenate([np.abs(layer.weight.to_dense()).ravel() for layer in policy.layers]))
    layers = [
        Layer(
            Dense(np.where(np.abs(layer.weight.to_dense()) >= magnitudes[-kept], layer.weight.to_dense(), 0)),
            layer.bias,
            layer.activation,
        )
        for layer in policy.layers
    ]
    fresh = np.random.default_rng(99).normal(size=(600, 10))

    def error(other: Policy) -> float:
        return float(np.mean((ReferenceEngine(other).act(fresh) - ReferenceEngine(policy).act(fresh)) ** 2))

    assert error(reduced) < 0.5 * error(dataclasses.replace(policy, layers=tuple(layers)))


def test_a_weight_counts_by_its_effect_not_by_its_size() -> None:
    """Input 0 hardly varies and has the large weights; input 1 varies and has small ones: the small ones must
    stay."""
    base = random_policy(widths=(2, 3))
    policy = dataclasses.replace(
        base, layers=(Layer(Dense([[5.0, 0.5]] * 3), np.zeros(3), "tanh"),), normalizer=base.normalizer
    )
    data = policy.normalizer.mean + policy.normalizer.scale * observations(500, 2) * [0.001, 1.0]
    reduced = reduce_layers(policy, trace(policy, data), [0.1], "sparse")
    assert reduced.input_index.tolist() == [1]
    np.testing.assert_allclose(reduced.layers[0].weight.to_dense(), 0.5, atol=1e-3)


def test_an_input_that_became_constant_goes_into_the_bias() -> None:
    """It varies by rounding alone, and a regression on that gives huge weights: once this made reduced
    policies fail completely."""
    policy = random_policy(seed=6, widths=(10, 16, 5))
    run = trace(policy, observations())[1]
    hidden = run.inputs.copy()
    hidden[:, 3] = 0.1
    weight, bias = _refit(run, hidden, np.ones(run.weight.shape, dtype=bool))
    assert (weight[:, 3] == 0).all()
    assert np.abs(weight).max() < 2 * np.abs(run.weight).max()
    np.testing.assert_allclose(
        run.importance @ (hidden @ weight.T + bias), run.importance @ run.outputs, atol=1e-9
    )


def test_a_noisy_network_is_reduced_to_what_carries_it() -> None:
    policy = point_reach.reaching_policy(hidden=64, noise=0.05)
    messages: list[str] = []
    small, report = compress(policy, episodes=60, progress=messages.append)
    assert (
        small.numbers < 60 < 4674 == policy.numbers
    )  # four units in two layers, and not the 4674 numbers around them
    before, after = (evaluate(candidate, episodes=100, seed=0) for candidate in (policy, small))
    assert after.return_mean > before.return_mean - 0.2
    assert after.success_rate == 1.0
    assert small.evaluation == {}
    assert small.provenance["compression"]["chosen"] == report["chosen"]
    assert report["chosen"]["parameters"] == small.numbers and report["chosen"]["bytes"] == small.nbytes
    assert (
        report["chosen"]["kept_lower_bound"] >= 0.99
        and report["chosen"]["confirmation"]["kept_lower_bound"] >= 0.99
    )
    assert report["chosen"]["size_decrease_percent"] > 98.5
    assert any("refused" in message for message in messages) and any(
        "accepted" in message for message in messages
    )
    json.dumps(report, allow_nan=False)


def test_needle_reach_is_compressed_alike_by_any_number_of_processes() -> None:
    policy = point_reach.needle_reach_policy(hidden=24, noise=0.02)
    results = [compress(policy, keep=0.95, episodes=6, seed=3, jobs=jobs) for jobs in (1, 2)]
    assert policy_bytes(results[0][0]) == policy_bytes(results[1][0])
    small, report = results[0]
    assert small.numbers < policy.numbers / 5
    assert report["original"]["success_rate"] == report["chosen"]["success_rate"] == 1.0
    assert evaluate(small, episodes=10).success_rate == 1.0


def test_keeping_less_is_smaller() -> None:
    policy = point_reach.reaching_policy(hidden=24, noise=0.1)
    sizes = [compress(policy, keep=keep, episodes=30)[0].nbytes for keep in (0.3, 0.99)]
    assert sizes[0] < sizes[1] < policy.nbytes


def test_where_nothing_can_go_the_exact_policy_stays() -> None:
    """One hidden unit too few to lose: keep = 1 accepts only what acts the same."""
    policy = point_reach.reaching_policy(hidden=4)
    small, report = compress(policy, keep=1.0, episodes=30)
    before, after = (evaluate(candidate, episodes=50) for candidate in (policy, small))
    np.testing.assert_array_equal(before.returns, after.returns)
    assert report["chosen"]["accepted"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keep": 0.0}, "cannot keep the fraction 0.0"),
        ({"keep": 1.01}, "cannot keep the fraction 1.01"),
        ({"keep": float("nan")}, "cannot keep the fraction nan"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"episodes": 0}, "at least 1 episode"),
        ({"episodes": 1}, "at least 2"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        compress(point_reach.reaching_policy(hidden=4), **settings)


def test_the_sweep_reports_both_accountings_and_paired_returns() -> None:
    policy = point_reach.reaching_policy(hidden=12, noise=0.05)
    done: list[int] = []
    rows = rank_sweep(policy, [1, 3, 12], episodes=20, seed=4, progress=done.append)
    assert done == [1, 2, 3]
    keys = {
        "rank",
        "parameters_paper",
        "parameters",
        "bytes",
        "size_decrease_percent",
        "return_mean",
        "return_ci95",
        "success_rate",
    }
    for row in rows:
        folded = fold(policy, row["rank"])
        assert set(row) == keys
        assert row["parameters_paper"] == paper_parameters([(12, 5), (12, 12), (2, 12)], row["rank"])
        assert (row["parameters"], row["bytes"]) == (folded.numbers, folded.nbytes)
        assert row["return_mean"] == evaluate(folded, episodes=20, seed=4, stream="validation").return_mean
        assert all(isinstance(layer.weight, LowRank) for layer in folded.layers)
    full = evaluate(policy, episodes=20, seed=4, stream="validation")
    assert rows[-1]["return_mean"] == full.return_mean
    assert rows[0]["return_mean"] < rows[-1]["return_mean"] - 3


@pytest.mark.parametrize(
    ("ranks", "words"), [([], "range of ranks is empty"), ([0], "rank 0"), ([5, -2], "rank -2")]
)
def test_bad_ranks_are_refused(ranks: list[int], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        rank_sweep(point_reach.reaching_policy(hidden=4), ranks)


class Counted:
    """What real evaluators do: how many were opened, and how often each policy ran each list of episodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.runs = 0, collections.Counter()
        enter, run = Evaluator.__enter__, Evaluator.run

        def counted_enter(evaluator: Evaluator) -> Evaluator:
            self.opened += 1
            return enter(evaluator)

        def counted_run(
            evaluator: Evaluator, policy: Policy, seeds: list[int], *rest: Any, **settings: Any
        ) -> list:
            acting = policy_bytes(dataclasses.replace(policy, provenance={}, evaluation={}))
            self.runs[acting, tuple(seeds), settings.get("random_share", 0.0)] += 1
            return run(evaluator, policy, seeds, *rest, **settings)

        monkeypatch.setattr(Evaluator, "__enter__", counted_enter)
        monkeypatch.setattr(Evaluator, "run", counted_run)


def request(**asked: Any) -> Request:
    return Request(
        **{
            "rank": None,
            "ranks": None,
            "keep": None,
            "confidence": 0.95,
            "episodes": 10,
            "seed": 3,
            "jobs": 1,
            **asked,
        }
    )


# beside the ranks: the original and random actions (where a rank is to be chosen), and what is chosen on
# unseen episodes; ranks above the layers' own are one policy
@pytest.mark.parametrize(
    ("asked", "evaluations"),
    [({"ranks": "3:13:2"}, 6 + 3), ({"rank": 4}, 1 + 1), ({"ranks": "12:40:14"}, 1 + 3)],
)
def test_every_rank_is_run_once(
    asked: dict[str, Any], evaluations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "policy.safetensors", tmp_path / "small.safetensors"
    policy = point_reach.reaching_policy(hidden=12, noise=0.02)
    save_policy(policy, source)
    expected = rank_sweep(policy, range(3, 14, 2), 10, 3)
    counted = Counted(monkeypatch)
    report = compress_to(str(source), out, request(**asked), lambda *told: None)
    assert (counted.opened, max(counted.runs.values()), counted.runs.total()) == (1, 1, evaluations)
    if asked == {"ranks": "3:13:2"}:
        assert report["sweep"] == expected


def test_a_search_runs_no_candidate_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both methods, their confirmation, the exact policy as the last resort and the test of what is
    chosen."""
    source = tmp_path / "policy.safetensors"
    save_policy(
        compress(point_reach.reaching_policy(hidden=12, noise=0.05), episodes=10)[0], source
    )  # simplified: the exact one is itself
    counted = Counted(monkeypatch)
    compress_to(str(source), tmp_path / "small.safetensors", request(keep=0.9), lambda *told: None)
    assert (counted.opened, max(counted.runs.values())) == (1, 1)
    assert counted.runs.total() > 10


def test_remembered_episodes_are_those_of_a_new_evaluator() -> None:
    policy, other = point_reach.reaching_policy(hidden=6), point_reach.reaching_policy(hidden=6, gain=1.0)
    seeds, told = episode_seeds("validation", 0, 5), []
    with RememberingEvaluator(policy.task) as evaluator:
        first = evaluator.run(policy, seeds)
        again = evaluator.run(dataclasses.replace(policy, provenance={"seed": 1}), seeds, told.append)
        seen = evaluator.run(policy, seeds, keep_observations=True)
        different = [
            evaluator.run(other, seeds),
            evaluator.run(policy, seeds[:4]),
            evaluator.run(policy, seeds, random_share=1.0),
        ]
        tested = evaluator.evaluate(policy, "test", 2, 5)
    with Evaluator(policy.task) as fresh:
        expected = fresh.run(policy, seeds)
        assert [[episode.total_reward for episode in group] for group in (first, again, seen)] == [
            [e.total_reward for e in expected]
        ] * 3
        assert [[e.total_reward for e in group] for group in different] == [
            [e.total_reward for e in group]
            for group in (
                fresh.run(other, seeds),
                fresh.run(policy, seeds[:4]),
                fresh.run(policy, seeds, random_share=1.0),
            )
        ]
    assert told == [5]
    assert all(episode.observations is not None for episode in seen)
    np.testing.assert_array_equal(tested.returns, evaluate(policy, episodes=5, seed=2).returns)
