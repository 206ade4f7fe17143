import numpy as np
import pytest
import torch

from l0_surgical.algorithms.replay import Demonstrations, expert_actions
from l0_surgical.system.errors import BadInputError


def test_expert_actions_are_equation_3_13():
    generator = np.random.default_rng(0)
    states, known = generator.normal(size=(2, 6, 4)), generator.normal(size=(2, 9, 4))
    actions = generator.normal(size=(2, 9, 3))
    result = expert_actions(
        torch.tensor(states), torch.tensor(known), torch.tensor(actions), neighbours=5
    ).numpy()
    for member in range(2):
        for row in range(6):
            distance = np.linalg.norm(known[member] - states[member, row], axis=1)
            nearest = np.argsort(distance)[:5]
            weight = np.exp(-distance[nearest])
            expected = (weight[:, None] * actions[member, nearest]).sum(0) / weight.sum()
            np.testing.assert_allclose(result[member, row], expected, atol=1e-6)


def test_the_nearest_neighbour_alone_gives_its_own_action():
    known = torch.eye(4).unsqueeze(0)
    actions = torch.arange(4.0).view(1, 4, 1)
    torch.testing.assert_close(expert_actions(known, known, actions, neighbours=1), actions)


def test_demonstrations_survive_a_round_trip(tmp_path):
    states, actions, goals = (
        np.ones((5, 4), np.float32),
        np.zeros((5, 2), np.float32),
        np.full((5, 1), 2, np.float32),
    )
    demonstrations = Demonstrations(states, actions, goals, np.array([-3.0]), np.array([True]))
    demonstrations.save(tmp_path / "d.npz")
    loaded = Demonstrations.load(tmp_path / "d.npz")
    np.testing.assert_array_equal(loaded.states, demonstrations.states)
    np.testing.assert_array_equal(loaded.achieved_goals, demonstrations.achieved_goals)
    np.testing.assert_array_equal(loaded.successes, [True])
    (tmp_path / "d.npz").write_bytes((tmp_path / "d.npz").read_bytes()[:100])
    with pytest.raises(BadInputError, match=r"d\.npz.*collect them anew"):
        Demonstrations.load(tmp_path / "d.npz")
