"""Transition buffers and priorities: what is kept, and how often each is drawn."""

import numpy as np
import pytest

from l0_surgical.algorithms.replay import SoftmaxPriorities, SumTree, TransitionReplay, importance_weights


@pytest.fixture
def rng() -> np.random.Generator:
    """Of each test alone, so that no draw depends on which tests ran before."""
    return np.random.default_rng(0)


def add(replay: TransitionReplay, first: int, valid: np.ndarray) -> np.ndarray:
    """Adds transitions numbered from `first` (in state, action and reward), one per environment."""
    shape = valid.shape
    numbers = first + np.arange(valid.size).reshape(shape)
    states = np.repeat(numbers[..., None], 2, axis=2).astype(np.float32)
    return replay.add(states, numbers, numbers.astype(np.float32), states + 0.5, numbers % 2 == 0, valid)


def test_the_newest_are_kept_and_invalid_ones_never_stored() -> None:
    replay = TransitionReplay(2, 5, 2)
    valid = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(add(replay, 0, valid), [[0, -1, 1], [-1, -1, 0]])
    np.testing.assert_array_equal(replay.sizes, [2, 1])
    for first in (10, 20):
        add(replay, first, np.ones((2, 3), bool))
    np.testing.assert_array_equal(replay.sizes, [5, 5])
    stored = replay.at(np.tile(np.arange(5), (2, 1)))
    assert sorted(stored.actions[0]) == [11, 12, 20, 21, 22]  # 0, 2 and 10 were overwritten
    assert sorted(stored.actions[1]) == [14, 15, 23, 24, 25]
    np.testing.assert_array_equal(stored.states[..., 0], stored.rewards)
    np.testing.assert_array_equal(stored.next_states[..., 1], stored.rewards + 0.5)
    np.testing.assert_array_equal(stored.terminated, stored.actions % 2 == 0)


def test_uniform_sampling_reaches_every_stored_transition_and_no_other(rng: np.random.Generator) -> None:
    replay = TransitionReplay(2, 100, 2)
    add(replay, 0, np.ones((2, 7), bool))
    counts = np.bincount(replay.sample_uniformly(rng.random((2, 7000))).index[0], minlength=8)
    assert counts[7] == 0
    assert np.all(np.abs(counts[:7] - 1000) < 5 * np.sqrt(1000))


def test_a_saved_buffer_goes_on_alike() -> None:
    one, other = TransitionReplay(1, 4, 2), TransitionReplay(1, 4, 2)
    add(one, 0, np.ones((1, 3), bool))
    other.load_state_dict({name: array.copy() for name, array in one.state_dict().items()})
    for replay in (one, other):
        add(replay, 50, np.ones((1, 2), bool))
    np.testing.assert_array_equal(one.at(np.arange(4)[None]).actions, other.at(np.arange(4)[None]).actions)


@pytest.mark.parametrize("kind", [SumTree, SoftmaxPriorities])
def test_frequencies_are_the_probabilities(kind: type, rng: np.random.Generator) -> None:
    """(2.3) and the proportional P(i), by 40 000 draws for two members with different errors."""
    alpha, sizes = 0.7, np.array([6, 4])
    errors = np.array([[0.1, 0.5, 1.0, 2.0, 0.0, 3.0], [2.0, 1.0, 0.3, 0.2, 0, 0]])
    priorities = kind(2, 8, alpha)
    priorities.add(np.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, -1, -1]]))
    for column in range(6):  # the second member's slots 4 and 5 are empty: its first slot is set again
        slots = np.array([[column], [column if column < 4 else 0]])
        priorities.update(slots, np.array([[errors[0, column]], [errors[1, slots[1, 0]]]]))
    index, probabilities = priorities.sample(rng.random((2, 40_000)), sizes)
    for member, size in enumerate(sizes):
        p = (np.abs(errors[member, :size]) + 1e-6) ** alpha
        expected = p / p.sum() if kind is SumTree else np.exp(p) / np.exp(p).sum()
        counts = np.bincount(index[member], minlength=size)
        assert counts.size == size
        assert np.all(np.abs(counts - 40_000 * expected) <= 5 * np.sqrt(40_000 * expected) + 1)
        np.testing.assert_allclose(probabilities[member], expected[index[member]], rtol=1e-9)


@pytest.mark.parametrize("kind", [SumTree, SoftmaxPriorities])
def test_new_transitions_have_the_largest_priority(kind: type, rng: np.random.Generator) -> None:
    priorities = kind(1, 4, 1.0)
    priorities.add(np.array([[0, 1]]))
    priorities.update(np.array([[0, 1]]), np.array([[0.5, 4.0]]))
    priorities.add(np.array([[2]]))
    _, probabilities = priorities.sample(np.array([[0.01, 0.5, 0.99]]), np.array([3]))
    index, probabilities = priorities.sample(rng.random((1, 200)), np.array([3]))
    of = {int(i): float(p) for i, p in zip(index[0], probabilities[0], strict=True)}
    assert of[2] == pytest.approx(of[1])
    assert of.get(0, 0.0) < of[1]


def test_alpha_0_is_uniform(rng: np.random.Generator) -> None:
    priorities = SumTree(1, 4, 0.0)
    priorities.add(np.array([[0, 1, 2, 3]]))
    priorities.update(np.array([[0, 1, 2, 3]]), np.array([[0.01, 1.0, 10.0, 100.0]]))
    _, probabilities = priorities.sample(rng.random((1, 50)), np.array([4]))
    np.testing.assert_allclose(probabilities, 0.25)


def test_importance_weights() -> None:
    probabilities, sizes = np.array([[0.5, 0.25, 0.125]]), np.array([8])
    np.testing.assert_allclose(importance_weights(probabilities, sizes, 1.0), [[0.25, 0.5, 1.0]])
    np.testing.assert_allclose(importance_weights(probabilities, sizes, 0.0), [[1.0, 1.0, 1.0]])


@pytest.mark.parametrize("kind", [SumTree, SoftmaxPriorities])
def test_saved_priorities_go_on_alike(kind: type, rng: np.random.Generator) -> None:
    one, other = kind(1, 8, 0.6), kind(1, 8, 0.6)
    one.add(np.array([[0, 1, 2]]))
    one.update(np.array([[0, 2]]), np.array([[3.0, 0.2]]))
    other.load_state_dict({name: array.copy() for name, array in one.state_dict().items()})
    uniforms = rng.random((1, 64))
    for mine, theirs in zip(
        one.sample(uniforms, np.array([3])), other.sample(uniforms, np.array([3])), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
