"""The compiled engine against float64: every form of a layer, which form the rule takes, what is refused."""

import copy
import dataclasses
import itertools
import pickle
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from example_policies import random_policy
from rounding import LIMIT, assert_rounded, deviations

from l0_surgical.policy import (
    Dense,
    Field,
    Layer,
    LowRank,
    Normalizer,
    PackedSparse,
    Policy,
    find_policy,
    load_policy,
    shipped_policies,
)
from l0_surgical.policy.low_rank import fold
from l0_surgical.policy.simplify import remove_dead_units
from l0_surgical.runtime import Engine, ReferenceEngine, compile
from l0_surgical.runtime.choice import choose, costs
from l0_surgical.runtime.layout import forms_of
from l0_surgical.system.errors import BadInputError


def observations(policy: Policy, count: int = 100) -> np.ndarray:
    generator = np.random.default_rng(7)
    scale = generator.choice((0.1, 1.0, 10.0), size=(count, 1))
    return policy.normalizer.mean + scale * policy.normalizer.scale * generator.normal(
        size=(count, policy.observation_size)
    )


def with_weights(policy: Policy, make: object) -> Policy:
    layers = [Layer(make(layer.weight.to_dense()), layer.bias, layer.activation) for layer in policy.layers]
    return dataclasses.replace(policy, layers=tuple(layers))


def low_rank(weight: np.ndarray) -> LowRank:
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    return LowRank(u[:, :3] * s[:3], v[:3])


def actions_of(engine: Engine, policy: Policy) -> np.ndarray:
    return np.array([engine.act(observation).copy() for observation in observations(policy)])


def assert_agrees(engine: Engine, policy: Policy) -> None:
    assert_rounded(actions_of(engine, policy), policy, observations(policy))


@pytest.mark.parametrize("name", shipped_policies())
def test_the_shipped_policies(name: str) -> None:
    policy = load_policy(find_policy(name))
    assert_agrees(compile(policy), policy)


@pytest.mark.parametrize(
    "widths", [(1, 1), (10, 5), (4, 1, 2), (10, 16, 12, 5), (13, 67, 130, 9, 3), (30, 256, 256, 7)]
)
@pytest.mark.parametrize("density", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("representation", [Dense, PackedSparse.pack, low_rank])
def test_every_shape_density_and_representation_in_every_form(
    widths: tuple[int, ...], density: float, representation: object
) -> None:
    policy = with_weights(random_policy(1, widths, density), representation)
    assert_agrees(compile(policy), policy)
    for choice in range(3):
        forms = [sorted(forms_of(layer)) for layer in policy.layers]
        chosen = [layer[choice % len(layer)] for layer in forms]
        engine = Engine(policy, policy, chosen)
        assert engine.forms == tuple(chosen)
        assert_agrees(engine, policy)


@pytest.mark.parametrize("widths", [(10, 16, 12, 5), (13, 67, 130, 9, 3), (30, 256, 256, 7)])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_wrong_kernel_is_far_from_rounding(widths: tuple[int, ...], layer: int) -> None:
    policy = random_policy(1, widths)

    def with_largest_weight_times(factor: float) -> Policy:
        weight = policy.layers[layer].weight.to_dense().copy()
        weight.flat[np.argmax(abs(weight))] *= factor
        layers = list(policy.layers)
        layers[layer] = dataclasses.replace(layers[layer], weight=Dense(weight))
        return dataclasses.replace(policy, layers=tuple(layers))

    def off(engine: Engine) -> float:
        return deviations(actions_of(engine, policy), policy, observations(policy))

    assert off(compile(policy)) < LIMIT / 4
    assert off(compile(with_largest_weight_times(0))) > 100 * LIMIT
    # one weight of at most 300, and of 65 536, by a thousandth
    assert off(compile(with_largest_weight_times(1.001))) > (10 * LIMIT if max(widths) < 20 else LIMIT)


def test_dead_units_are_left_out() -> None:
    policy = load_policy(find_policy("needle-reach-l0"))
    first = compile(policy).explain().splitlines()[1]
    assert re.match(
        r"layer 1: 256 x 256, \d+ x \d+ alive, \d+ % of that not zero, stored as dense, runs sparse ", first
    ), first
    rows, columns = map(int, re.search(r"(\d+) x (\d+) alive", first).groups())
    assert max(rows, columns) < 128


def test_the_forms_that_make_sense() -> None:
    policy = random_policy(density=1.0)
    assert [forms_of(layer) for layer in policy.layers] == [["dense"]] * 3
    assert forms_of(with_weights(policy, PackedSparse.pack).layers[0]) == ["dense", "sparse"]
    assert forms_of(fold(policy, 3).layers[0]) == ["dense", "sparse", "low rank"]
    assert forms_of(random_policy(density=0.1).layers[0]) == ["dense", "sparse"]


def test_read_entries_activations_and_outputs_without_limits() -> None:
    policy = random_policy(2, (6, 8, 3))
    layers = (policy.layers[0], dataclasses.replace(policy.layers[1], activation="linear"))
    policy = dataclasses.replace(
        policy,
        inputs=(Field("x", 9, "1"),),
        outputs=(Field("q", 2, "1"), Field("limited", 1, "m", -0.5, 0.25)),
        normalizer=Normalizer(np.arange(9.0), np.linspace(1, 2, 9)),
        input_index=np.array((8, 0, 3, 4, 1, 7)),
        layers=layers,
    )
    assert_agrees(compile(policy), policy)
    actions = np.array([compile(policy).act(observation).copy() for observation in observations(policy)])
    assert np.abs(actions[:, :2]).max() > 2
    assert (actions[:, 2] >= -0.5).all()
    assert (actions[:, 2] <= 0.25).all()


def test_lists_and_other_types_of_numbers() -> None:
    policy = random_policy()
    engine, observation = compile(policy), np.arange(10.0)
    expected = engine.act(observation).copy()
    for other in (list(range(10)), np.arange(10), np.arange(10, dtype=np.float32), np.arange(20.0)[::2] / 2):
        np.testing.assert_array_equal(engine.act(other), expected)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))]
)
def test_a_copy_acts_on_its_own(copied: Callable[[Engine], Engine]) -> None:
    engine, (one, other) = compile(random_policy()), observations(random_policy(), 2)
    first, second = (engine.act(observation).copy() for observation in (one, other))
    assert not np.array_equal(first, second)
    engine.act(one)
    twin = copied(engine)
    action = twin.act(other)
    np.testing.assert_array_equal(action, second)
    engine.act(one)
    np.testing.assert_array_equal(action, second)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("place", [0, 9])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_is_not_finite_is_refused_and_the_next_action_is_right(bad: float, place: int) -> None:
    policy = random_policy()
    engine, good = compile(policy), np.arange(10.0)
    expected = engine.act(good).copy()
    observation = good.copy()
    observation[place] = bad
    with pytest.raises(BadInputError, match=rf"NaN or infinite in entries \[{place}\]"):
        engine.act(observation)
    np.testing.assert_array_equal(engine.act(good), expected)


def test_an_entry_that_the_network_does_not_read_must_be_finite_too() -> None:
    policy = load_policy(find_policy("needle-reach-l0-compressed"))
    assert 5 not in policy.input_index
    observation = policy.normalizer.mean.astype(float)
    observation[5] = np.nan
    with pytest.raises(BadInputError, match=r"entries \[5\]"):
        compile(policy).act(observation)


def test_a_network_that_overflows_is_refused() -> None:
    policy = random_policy(clip=np.inf)
    big = Layer(Dense(np.full((5, 12), 3e38)), policy.layers[2].bias, "linear")
    policy = dataclasses.replace(policy, layers=(*policy.layers[:2], big), outputs=(Field("q", 5, "1"),))
    for engine in (compile(policy), ReferenceEngine(policy)):
        with pytest.raises(BadInputError, match="overflows"):
            engine.act(np.full(10, 1e30))


@pytest.mark.parametrize("shape", [(), (1,), (9,), (11,), (1, 10), (10, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="this policy needs 10 numbers"):
        compile(random_policy()).act(np.zeros(shape))


def test_nothing_is_allocated() -> None:
    engine = compile(load_policy(find_policy("needle-reach-dense")))
    observation = np.zeros(10)
    for _ in range(10):
        engine.act(observation)
    tracemalloc.start()
    for _ in itertools.repeat(None, 10):
        engine.act(observation)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in itertools.repeat(None, 1000):
        engine.act(observation)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a float32 of the dense policy's widest layer would be 1 KiB
    assert after - before < 256
    assert peak - before < 512
    assert engine.act(observation) is engine.act(observation)


@pytest.mark.parametrize(
    ("rows", "columns", "nonzero", "form"),
    [
        (5, 10, 30, "sparse"),
        (64, 64, 180, "sparse"),
        (64, 64, 500, "dense"),
        (256, 256, 3_000, "sparse"),
        (256, 256, 7_000, "dense"),
        (256, 10, 128, "sparse"),
        (256, 10, 400, "dense"),
    ],
)
def test_the_rule_for_sparse_layers(rows: int, columns: int, nonzero: int, form: str) -> None:
    weight = np.zeros(rows * columns)
    weight[np.random.default_rng(0).permutation(weight.size)[:nonzero]] = 1
    layer = Layer(PackedSparse.pack(weight.reshape(rows, columns)), np.zeros(rows), "relu")
    expected = costs(layer)
    assert min(expected, key=expected.get) == form
    assert all(isinstance(cost, int) for cost in expected.values())


@pytest.mark.parametrize(
    ("rows", "columns", "rank", "form"),
    [(256, 256, 8, "low rank"), (256, 256, 64, "dense"), (32, 32, 3, "dense")],
)
def test_the_rule_for_low_rank_layers(rows: int, columns: int, rank: int, form: str) -> None:
    expected = costs(Layer(LowRank(np.ones((rows, rank)), np.ones((rank, columns))), np.zeros(rows), "relu"))
    assert min(expected, key=expected.get) == form


@pytest.mark.parametrize("name", shipped_policies())
def test_the_forms_come_from_no_clock_and_no_file(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = load_policy(find_policy(name))
    forms = compile(policy).forms
    assert forms == choose(remove_dead_units(policy))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for clock in (
        "perf_counter",
        "perf_counter_ns",
        "monotonic",
        "monotonic_ns",
        "time",
        "time_ns",
        "process_time",
    ):
        monkeypatch.delattr(time, clock)
    assert compile(policy).forms == forms
    assert list(tmp_path.iterdir()) == []


def test_the_explanation_measures_only_when_asked() -> None:
    policy = with_weights(random_policy(3, (10, 64, 5), 0.05), PackedSparse.pack)
    engine = compile(policy)
    first, second = engine.explain().splitlines()
    assert re.fullmatch(
        r"layer 0: 64 x 10, \d+ x \d+ alive, \d+ % of that not zero, stored as packed sparse, runs sparse "
        r"\(expected times: dense \d\.\d\d, sparse 1\.00\)",
        first,
    )
    assert second.startswith("layer 1: 5 x 64, ")
    for line, plain in zip(engine.explain(measure=True).splitlines(), (first, second), strict=True):
        assert line.startswith(plain.removesuffix(")"))
        assert re.search(r"; measured: dense \d+ ns, sparse \d+ ns\)$", line)
