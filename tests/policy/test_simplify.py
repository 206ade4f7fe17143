"""Simplifying changes no action, reaches its fixed point, and `describe` counts what is there."""

import dataclasses
import itertools

import numpy as np
import pytest
from example_policies import random_policy
from rounding import assert_rounded

from l0_surgical.policy import Dense, Layer, LowRank, PackedSparse, Policy, policy_bytes, policy_from_bytes
from l0_surgical.policy.description import describe
from l0_surgical.policy.low_rank import fold_weight
from l0_surgical.policy.simplify import live_units, remove_dead_units, simplify, smallest_representation
from l0_surgical.runtime import ReferenceEngine


def observations(policy: Policy) -> np.ndarray:
    return np.random.default_rng(11).normal(size=(64, policy.observation_size)) * 3


def actions(policy: Policy) -> np.ndarray:
    return ReferenceEngine(policy).act(observations(policy))


def assert_acts_like(reduced: Policy, policy: Policy) -> None:
    assert_rounded(actions(reduced), policy, observations(policy))


def with_weights(weights: list[np.ndarray], biases: list[np.ndarray]) -> Policy:
    base = random_policy(widths=(weights[0].shape[1], *(len(weight) for weight in weights)))
    layers = [
        Layer(Dense(weight), bias, layer.activation)
        for weight, bias, layer in zip(weights, biases, base.layers, strict=True)
    ]
    return dataclasses.replace(base, layers=tuple(layers))


@pytest.mark.parametrize("seed", range(60))
def test_random_sparse_networks_act_the_same(seed: int) -> None:
    density = np.random.default_rng(seed).choice([0.0, 0.01, 0.03, 0.06, 0.1, 0.3])
    policy = random_policy(seed, (10, 24, 20, 16, 5), density)
    for reduced in (remove_dead_units(policy), simplify(policy)):
        assert_acts_like(reduced, policy)
        assert reduced.numbers <= policy.numbers
        np.testing.assert_array_equal(actions(policy_from_bytes(policy_bytes(reduced))), actions(reduced))
    reduced = remove_dead_units(policy)
    again = remove_dead_units(reduced)
    assert policy_bytes(again) == policy_bytes(reduced)
    weights = [layer.weight.to_dense() for layer in reduced.layers]
    for weight, reader in itertools.pairwise(weights):
        assert ((weight != 0).any(axis=1) & (reader != 0).any(axis=0)).all() or len(weight) == 1
    assert (weights[0] != 0).any(axis=0).all() or weights[0].shape[1] == 1
    assert [live.size for live in live_units(policy)] == [len(weight) for weight in weights]


def test_a_chain_of_dead_units_by_hand() -> None:
    # unit 1 of layer 0 is constant 0.5; it alone drives unit 0 of layer 1, which becomes constant 2 * 0.5 + 1
    # = 2; unit 2 of layer 0 is unread
    first = np.array([[1.0, 0, 0, 2.0], [0, 0, 0, 0], [0, 3.0, 0, 0]])
    second = np.array([[0, 2.0, 0], [4.0, 0, 0]])
    last = np.array([[5.0, 6.0]])
    policy = with_weights(
        [first, second, last], [np.array([0, 0.5, 0]), np.array([1.0, 0]), np.array([-1.0])]
    )
    reduced = remove_dead_units(policy)
    assert [layer.weight.to_dense().tolist() for layer in reduced.layers] == [[[1.0, 2.0]], [[4.0]], [[6.0]]]
    assert [layer.bias.tolist() for layer in reduced.layers] == [[0.0], [0.0], [9.0]]
    assert reduced.input_index.tolist() == [0, 3]
    assert [live.tolist() for live in live_units(policy)] == [[0], [1], [0]]
    assert [layer["dead_units"] for layer in describe(policy)["layers"]] == [2, 1, 0]
    assert_acts_like(reduced, policy)


def test_an_existing_input_index_is_composed() -> None:
    policy = random_policy(widths=(10, 8, 5))
    weight = policy.layers[0].weight.to_dense()[:, [7, 2, 5]].copy()
    weight[:, 1] = 0
    indexed = dataclasses.replace(
        policy,
        input_index=np.array([7, 2, 5]),
        layers=(Layer(Dense(weight), policy.layers[0].bias, "relu"), policy.layers[1]),
    )
    reduced = remove_dead_units(indexed)
    assert reduced.input_index.tolist() == [7, 5]
    assert_acts_like(reduced, indexed)


def test_a_policy_that_reads_nothing_is_a_constant() -> None:
    policy = random_policy(density=0.0)
    reduced = simplify(policy)
    assert [layer.weight.shape for layer in reduced.layers] == [(1, 1), (1, 1), (5, 1)]
    assert_acts_like(reduced, policy)


def test_other_representations_are_sliced_not_rewritten() -> None:
    policy = random_policy(widths=(10, 16, 12, 5))
    reader = policy.layers[2].weight.to_dense().copy()
    reader[:, 3:] = 0
    layers = (
        policy.layers[0],
        dataclasses.replace(policy.layers[1], weight=fold_weight(policy.layers[1].weight.to_dense(), 2)),
        dataclasses.replace(policy.layers[2], weight=PackedSparse.pack(reader)),
    )
    mixed = dataclasses.replace(policy, layers=layers)
    reduced = remove_dead_units(mixed)
    assert [type(layer.weight) for layer in reduced.layers] == [Dense, LowRank, PackedSparse]
    assert reduced.layers[1].weight.shape == (3, 16)
    assert_acts_like(reduced, mixed)


def test_the_smallest_representation_by_bytes() -> None:
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(20, 30))
    product = generator.normal(size=(20, 3)) @ generator.normal(size=(3, 30))
    sparse = dense * (generator.random((20, 30)) < 0.1)

    def smallest(weight: np.ndarray) -> LowRank | Dense | PackedSparse:
        layer = smallest_representation(Layer(Dense(weight), np.zeros(20), "relu"))
        np.testing.assert_allclose(layer.weight.to_dense(), weight, atol=1e-5)
        return layer.weight

    assert isinstance(smallest(dense), Dense)
    assert isinstance(smallest(product), LowRank)
    assert smallest(product).rank == 3
    assert isinstance(smallest(sparse), PackedSparse)
    assert smallest(sparse).nbytes == 4 * np.count_nonzero(sparse) + 75


def test_describe_counts_stored_numbers() -> None:
    policy = random_policy(density=0.2)
    record = describe(policy)
    weights = [layer.weight.to_dense() for layer in policy.layers]
    assert set(record) >= {"task", "network", "parameters", "nonzero", "sparsity", "bytes", "layers"}
    assert record["network"] == [10, 16, 12, 5]
    assert record["parameters"] == 10 * 16 + 16 * 12 + 12 * 5 + 33 == policy.trained_parameters
    assert record["nonzero"] == sum(np.count_nonzero(weight) for weight in weights)
    assert record["sparsity"] == pytest.approx(1 - record["nonzero"] / 412)
    assert record["bytes"] == 4 * (445 + 20)
    assert set(record["layers"][0]) == {
        "name",
        "shape",
        "representation",
        "parameters",
        "nonzero",
        "sparsity",
        "dead_units",
        "bytes",
    }
    packed = describe(simplify(policy))
    assert packed["layers"][1]["representation"] == "packed sparse"
    assert (
        packed["parameters"] == sum(layer["parameters"] for layer in packed["layers"]) < record["parameters"]
    )
    assert packed["size_decrease_percent"] == pytest.approx(100 * (1 - packed["parameters"] / 445))
