"""The reference engine against the formula written out, and what it refuses."""

import dataclasses

import numpy as np
import pytest
from example_policies import random_policy
from rounding import LIMIT, assert_rounded, in_float64

from l0_surgical.policy import Dense, Field, Layer, LowRank, Normalizer, PackedSparse
from l0_surgical.runtime import ReferenceEngine
from l0_surgical.system.errors import BadInputError


def test_the_action_is_the_formula() -> None:
    policy = random_policy(seed=3)
    observation = (np.random.default_rng(1).normal(size=10) * 3).astype(np.float32).astype(float)
    x = np.clip((observation - policy.normalizer.mean) / policy.normalizer.scale, -5, 5)
    for layer, function in zip(
        policy.layers, (lambda y: np.maximum(y, 0), lambda y: np.maximum(y, 0), np.tanh), strict=True
    ):
        x = function(layer.weight.to_dense().astype(float) @ x + layer.bias)
    action = ReferenceEngine(policy).act(observation)
    assert action.dtype == np.float32
    ((exact,), (deviation,)) = in_float64(policy, observation[None])
    np.testing.assert_allclose(exact, x * 2.5 + 0.5, rtol=1e-12)
    assert (abs(action - exact) < LIMIT * deviation).all()
    assert (deviation < 1e-5).all()
    assert np.abs(action - 0.5).max() > 0.5


def test_a_batch_is_its_rows() -> None:
    policy = random_policy()
    engine = ReferenceEngine(policy)
    batch = np.random.default_rng(2).normal(size=(7, 10))
    assert_rounded(engine.act(batch), policy, batch)
    assert_rounded(np.array([engine.act(row) for row in batch]), policy, batch)
    assert engine.act(batch[:0]).shape == (0, 5)


def test_representations_act_alike() -> None:
    generator = np.random.default_rng(4)
    u, v = generator.normal(size=(12, 3)), generator.normal(size=(3, 16))
    weight = LowRank(u, v).to_dense()
    policy = random_policy()
    observation = generator.normal(size=10)

    def act(middle):
        return ReferenceEngine(
            dataclasses.replace(
                policy,
                layers=(policy.layers[0], Layer(middle, policy.layers[1].bias, "relu"), policy.layers[2]),
            )
        ).act(observation)

    np.testing.assert_array_equal(act(LowRank(u, v)), act(Dense(weight)))
    np.testing.assert_array_equal(act(PackedSparse.pack(weight)), act(Dense(weight)))


def test_input_index_picks_and_orders_entries() -> None:
    policy = random_policy()
    weight = policy.layers[0].weight.to_dense()
    index = np.array([4, 1, 9, 0, 2, 3, 5, 6, 7, 8])
    permuted = dataclasses.replace(
        policy,
        input_index=index,
        layers=(Layer(Dense(weight[:, index]), policy.layers[0].bias, "relu"), *policy.layers[1:]),
    )
    observation = np.random.default_rng(5).normal(size=10)
    assert_rounded(ReferenceEngine(permuted).act(observation[None]), policy, observation[None])


def test_outputs_without_limits_pass_unchanged() -> None:
    policy = random_policy(widths=(2, 2))
    linear = dataclasses.replace(
        policy,
        normalizer=Normalizer.identity(2),
        layers=(Layer(Dense(np.diag([100.0, 100.0])), [0, 0], "linear"),),
        outputs=(Field("q", 1, "1"), Field("a", 1, "m", -1, 3)),
    )
    np.testing.assert_array_equal(ReferenceEngine(linear).act(np.array([1.0, 1.0])), [100.0, 3.0])
    np.testing.assert_array_equal(ReferenceEngine(linear).act(np.array([-1.0, -1.0])), [-100.0, -1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_non_finite_observations_are_refused(bad: float) -> None:
    observation = np.zeros(10)
    observation[6] = bad
    with pytest.raises(BadInputError, match=r"entries \[6\]"):
        ReferenceEngine(random_policy()).act(observation)
    with pytest.raises(BadInputError, match=r"entries \[6\]"):
        ReferenceEngine(random_policy()).act(np.stack([np.zeros(10), observation]))


def test_overflow_is_refused() -> None:
    engine = ReferenceEngine(random_policy(clip=np.inf))
    with pytest.raises(BadInputError, match="overflows"):
        engine.act(np.full(10, 3e38))


@pytest.mark.parametrize("shape", [(9,), (11,), (3, 9), (), (2, 2, 10)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="needs 10 numbers"):
        ReferenceEngine(random_policy()).act(np.zeros(shape))
