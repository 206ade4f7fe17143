"""The DQN learner against closed forms, a plain implementation, and itself in other company."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from l0_surgical.algorithms.dqn import DQN
from l0_surgical.algorithms.replay import TransitionBatch
from l0_surgical.algorithms.vector_cohort import VectorCohort, VectorProblem
from l0_surgical.settings.dqn import DQNConfig
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import get_task
from tests.small import dense

STATES, DISCOUNT = 3, 0.9
# a corridor: action 1 goes right, action 0 stays; leaving the last state pays 1 and ends the episode
GO = [DISCOUNT ** (STATES - 1 - s) for s in range(STATES)]
VALUES = np.array([[DISCOUNT * go, go] for go in GO])


def corridor(terminal_is_terminal: bool = True) -> TransitionBatch:
    """Every transition of the corridor once, for one member."""
    rows = [(s, a) for s in range(STATES) for a in (0, 1)]
    last = [s == STATES - 1 and a == 1 for s, a in rows]
    following = [min(s + a, STATES - 1) for s, a in rows]
    one_hot = torch.eye(STATES)
    return TransitionBatch(
        states=one_hot[[s for s, _ in rows]][None],
        actions=torch.tensor([[a for _, a in rows]]),
        rewards=torch.tensor([last], dtype=torch.float32),
        next_states=one_hot[following][None],
        terminated=torch.tensor([last]) & terminal_is_terminal,
    )


def learned_values(batch: TransitionBatch, **changes: object) -> np.ndarray:
    """Q (states, actions) after the learner has seen the batch often enough."""
    settings = {
        "hidden": (32,),
        "learning_rate": 3e-3,
        "discount": DISCOUNT,
        "target_rate": 0.05,
        "double": False,
        **changes,
    }
    learner = DQN(DQNConfig(**settings), (STATES, 2), [0], dense(1))
    for _ in range(2000):
        learner.update(batch)
    with torch.no_grad():
        return learner.network(torch.eye(STATES)[None])[0].numpy()


@pytest.mark.parametrize("double", [False, True])
def test_values_of_a_corridor_are_the_closed_form(double: bool) -> None:
    np.testing.assert_allclose(learned_values(corridor(), double=double), VALUES, atol=0.02)


def test_initial_value_shifts_the_outputs_of_network_and_target_and_not_what_is_learned() -> None:
    plain, shifted = (
        DQN(DQNConfig(hidden=(8,), initial_value=value), (STATES, 2), [3], dense(1)) for value in (0.0, 100.0)
    )
    states = torch.eye(STATES)[None]
    for name in ("network", "target"):
        torch.testing.assert_close(getattr(shifted, name)(states), getattr(plain, name)(states) + 100)
    np.testing.assert_allclose(learned_values(corridor(), initial_value=2.0), VALUES, atol=0.02)


def test_wrong_settings_miss_the_closed_form() -> None:
    """Without the end of the episode the last state is worth the discounted stay as well, and with another
    discount all is off."""
    endless = learned_values(corridor(terminal_is_terminal=False))
    assert endless[-1, 1] == pytest.approx(1 / (1 - DISCOUNT), rel=0.1)
    assert np.abs(endless - VALUES).max() > 1
    assert np.abs(learned_values(corridor(), discount=0.5) - VALUES).max() > 0.1


def test_double_takes_the_choice_of_the_network_and_the_value_of_the_target() -> None:
    for double in (False, True):
        learner = DQN(DQNConfig(hidden=(8,), double=double, discount=0.5), (STATES, 2), [3], dense(1))
        with torch.no_grad():
            for part in (learner.network.layers[-1].weight, learner.network.layers[-1].bias):
                part.neg_()  # the network now prefers what its target avoids
        batch = corridor()
        choice = learner.network(batch.next_states).argmax(2, keepdim=True)
        target = learner.target(batch.next_states)
        value = target.gather(2, choice)[..., 0] if double else target.amax(2)
        assert not torch.equal(target.gather(2, choice)[..., 0], target.amax(2))
        goal = learner._td_target(batch, learner.network.effective_weights())
        torch.testing.assert_close(goal, batch.rewards + 0.5 * value * ~batch.terminated)


def test_updates_equal_a_plain_implementation() -> None:
    config = DQNConfig(hidden=(16, 8), double=False, huber_delta=1.0, target_rate=0.1)
    learner = DQN(config, (4, 2), [5], dense(1))
    network, target = (
        nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
        for _ in range(2)
    )
    for mine, theirs, other in zip(learner.network.layers, network[::2], target[::2], strict=True):
        for linear in (theirs, other):
            linear.weight.data.copy_(mine.weight[0])
            linear.bias.data.copy_(mine.bias[0])
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        states, next_states = torch.randn(2, 1, 64, 4, generator=generator)
        actions = torch.randint(0, 2, (1, 64), generator=generator)
        rewards, terminated = (
            torch.randn(1, 64, generator=generator),
            torch.rand(1, 64, generator=generator) < 0.1,
        )
        figures, _ = learner.update(TransitionBatch(states, actions, rewards, next_states, terminated))
        with torch.no_grad():
            goal = rewards[0] + config.discount * target(next_states[0]).amax(1) * ~terminated[0]
        loss = nn.functional.huber_loss(network(states[0]).gather(1, actions[0][:, None])[:, 0], goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for slow, fast in zip(target.parameters(), network.parameters(), strict=True):
            slow.data.lerp_(fast.data, config.target_rate)
        assert float(figures["loss"]) == pytest.approx(loss.item(), rel=1e-3)


def test_importance_weights_scale_the_loss_of_each_transition() -> None:
    batch = corridor()
    plain, _ = DQN(DQNConfig(hidden=(8,)), (STATES, 2), [0], dense(1)).update(batch)
    halved = dataclasses.replace(batch, weights=torch.full_like(batch.rewards, 0.5))
    weighted, _ = DQN(DQNConfig(hidden=(8,)), (STATES, 2), [0], dense(1)).update(halved)
    assert float(weighted["loss"]) == pytest.approx(float(plain["loss"]) / 2)


def small(**changes: object) -> TrainingConfig:
    """Two rounds of CartPole with few environments."""
    config = preset("best", "cartpole", "dqn")
    settings = {
        "hidden": (32, 16),
        "environments": 4,
        "cycles_per_round": 6,
        "updates_per_cycle": 8,
        "learning_starts": 32,
        "batch_size": 16,
    }
    dqn = dataclasses.replace(config.algorithm, **{**settings, **changes})
    return dataclasses.replace(
        config, algorithm=dqn, sparsity=dataclasses.replace(config.sparsity, penalty_start=0)
    )


@pytest.mark.parametrize("prioritized", ["none", "proportional", "softmax"])
def test_member_2_of_a_grid_of_4_equals_the_same_member_alone(prioritized: str) -> None:
    """Over about 200 updates, with gates, exploration and replay."""
    config = small(prioritized=prioritized, cycles_per_round=26)
    members = [
        MemberSpec(0, "l0", 1e-2),
        MemberSpec(1, "l0", 1e-2),
        MemberSpec(1, "l0", 0.5),
        MemberSpec(7, "l0", 1e-3),
    ]
    problem = VectorProblem.of(get_task("cartpole"))
    grid, alone = VectorCohort(config, members, problem), VectorCohort(config, members[2:3], problem)
    together, single = grid.train_round(0), alone.train_round(0)
    assert alone.updates >= 190
    for name in ("loss", "q", "penalty"):
        assert together[2][name] == pytest.approx(single[0][name], rel=1e-5)
    assert together[2]["loss"] != pytest.approx(together[1]["loss"], rel=1e-3)
    for ours, theirs in zip(
        grid.learner.policy_sparsifier.finalize(), alone.learner.policy_sparsifier.finalize(), strict=True
    ):
        torch.testing.assert_close(ours[2], theirs[0], atol=1e-4, rtol=0)


def test_a_member_that_diverges_stops_with_its_cause_and_the_others_go_on() -> None:
    cohort = VectorCohort(
        small(),
        [MemberSpec(0, "none", 0.0), MemberSpec(1, "none", 0.0)],
        VectorProblem.of(get_task("cartpole")),
    )
    cohort.train_round(0)
    with torch.no_grad():
        cohort.learner.network.layers[0].weight[1] = torch.nan
    rows = cohort.train_round(1)
    assert rows[0]["loss"] > 0
    assert rows[1] == {}
    assert "round 1, update 40: loss nan" in cohort.failures[1]


def test_epsilon_falls_along_a_cosine() -> None:
    cohort = VectorCohort(
        small(exploration_fraction=0.5, final_epsilon=0.2),
        [MemberSpec(0, "none", 0.0)],
        VectorProblem.of(get_task("cartpole")),
    )
    assert [cohort.learner.epsilon(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
