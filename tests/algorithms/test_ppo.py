"""PPO: advantages against their definition, values against a closed form, and gates that hold still through
an iteration."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrize

from l0_surgical.algorithms.learner import advantages
from l0_surgical.algorithms.ppo import PPO, Rollout
from l0_surgical.algorithms.vector_cohort import Play, VectorCohort, VectorProblem
from l0_surgical.settings.ppo import PPOConfig
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import get_task
from tests.small import dense

GAMMA, LAMBDA = 0.9, 0.8


def by_definition(
    rewards: np.ndarray, values: np.ndarray, following: np.ndarray, terminated: np.ndarray, ended: np.ndarray
) -> np.ndarray:
    """The sum of discounted TD errors of each step up to the end of its episode, written out."""
    deltas = rewards + GAMMA * np.where(terminated, 0, following) - values
    result = np.zeros_like(deltas)
    for t in range(len(deltas)):
        for k in range(t, len(deltas)):
            result[t] += (GAMMA * LAMBDA) ** (k - t) * deltas[k]
            if ended[k]:
                break
    return result


def test_advantages_are_their_definition() -> None:
    generator = np.random.default_rng(0)
    rewards, values, following = generator.normal(size=(3, 40))
    ended = generator.random(40) < 0.15
    terminated = ended & (generator.random(40) < 0.5)
    assert terminated.any() and (ended & ~terminated).any()
    arrays = [torch.from_numpy(a) for a in (rewards, values, following, terminated, ended)]
    found = advantages(*arrays, GAMMA, LAMBDA).numpy()
    np.testing.assert_allclose(found, by_definition(rewards, values, following, terminated, ended))
    wrong = advantages(
        *arrays[:3], arrays[4], arrays[4], GAMMA, LAMBDA
    ).numpy()  # a time limit taken for an end of the task
    assert np.abs(wrong - found).max() > 0.1


def test_lambda_0_and_1_are_the_td_error_and_the_return() -> None:
    rewards, values = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.25, 0.125])
    following, no, last = (
        torch.tensor([0.25, 0.125, 9.0]),
        torch.zeros(3, dtype=bool),
        torch.tensor([False, False, True]),
    )
    one_step = advantages(rewards, values, following, last, last, GAMMA, 0.0)
    torch.testing.assert_close(
        one_step, torch.tensor([1 + 0.9 * 0.25 - 0.5, 2 + 0.9 * 0.125 - 0.25, 3 - 0.125])
    )
    whole = advantages(rewards, values, following, last, last, GAMMA, 1.0)
    torch.testing.assert_close(whole, torch.tensor([1 + 1.8 + 0.81 * 3 - 0.5, 2 + 2.7 - 0.25, 3 - 0.125]))
    open_end = advantages(rewards, values, following, no, last, GAMMA, 1.0)
    assert float(open_end[2]) == pytest.approx(3 + 0.9 * 9 - 0.125)


def learned_value(discount: float) -> tuple[float, float]:
    """V of a one-state task that pays 1 a step and goes on for ever, and the probability of the action that
    pays."""
    config = PPOConfig(
        hidden=(8,), minibatch_size=64, learning_rate=1e-2, discount=discount, max_gradient_norm=10.0
    )
    learner = PPO(config, (1, 2), [0], dense(1))
    generator = torch.Generator().manual_seed(0)
    state = torch.ones(1, 64, 1)
    for _ in range(150):
        actions, logs = learner.act(state, torch.rand(1, 64, generator=generator))
        rewards, values, no = (
            actions.float(),
            learner.critic.value(state).detach(),
            torch.zeros(1, 64, dtype=bool),
        )
        gains = advantages(
            rewards, values, values, no, ~no, discount, 0.95
        )  # every step its own roll-out, cut but not terminated
        rollout = Rollout(state, actions, logs, gains, gains + values, torch.ones(1, 64))
        learner.learn(rollout, torch.stack([torch.randperm(64, generator=generator) for _ in range(4)])[None])
    return float(learner.critic.value(state[:, :1])[0, 0]), float(
        torch.softmax(learner.actor(state[:, :1]), 2)[0, 0, 1]
    )


def test_value_and_policy_of_an_endless_task() -> None:
    value, share = learned_value(0.5)
    assert share > 0.9
    assert value == pytest.approx(2.0, rel=0.1)  # 1 / (1 - gamma)
    assert learned_value(0.8)[0] > 3  # and another discount gives another value


def test_the_ratio_is_clipped_and_invalid_steps_do_not_count() -> None:
    learner = PPO(PPOConfig(hidden=(8,), minibatch_size=8, entropy_coefficient=0.0), (2, 3), [0], dense(1))
    states, actions = (
        torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(1)),
        torch.arange(8)[None] % 3,
    )
    _, logs = learner.act(states, torch.zeros(1, 8))
    logs = torch.log_softmax(learner.actor(states), 2).gather(2, actions[..., None])[..., 0].detach()
    rollout = Rollout(
        states, actions, logs, torch.linspace(-1, 1, 8)[None], torch.zeros(1, 8), torch.ones(1, 8)
    )
    first = learner._update(
        dataclasses.replace(rollout, log_probabilities=logs - 1.0)
    )  # every ratio is e, beyond 1.2
    gains = (rollout.advantages - rollout.advantages.mean()) / rollout.advantages.std(unbiased=False)
    expected = -torch.where(gains > 0, 1.2 * gains, np.e * gains).mean()
    assert float(first["actor_loss"]) == pytest.approx(float(expected), rel=1e-4)
    spoiled = rollout.advantages.clone()
    spoiled[0, :3] = 1e6
    valid = torch.ones(1, 8)
    valid[0, :3] = 0
    same = learner._update(dataclasses.replace(rollout, advantages=spoiled, valid=valid))
    assert abs(float(same["actor_loss"])) < 10


def small(**changes: object) -> TrainingConfig:
    config = preset("best", "cartpole", "ppo")
    settings = {"hidden": (32, 16), "environments": 4, "horizon": 32, "minibatch_size": 32, **changes}
    return dataclasses.replace(
        config,
        algorithm=dataclasses.replace(config.algorithm, **settings),
        sparsity=dataclasses.replace(config.sparsity, penalty_start=0),
    )


def test_gate_noise_holds_from_the_roll_out_through_the_updates() -> None:
    """Before any update the ratio is exactly one; with noise drawn anew it would not be."""
    cohort = VectorCohort(small(), [MemberSpec(0, "l0", 1e-2)], VectorProblem.of(get_task("cartpole")))
    learner = cohort.learner
    with torch.no_grad():
        learner.actor.layers[-1].parametrizations.weight.original.mul_(
            100
        )  # the small first weights would hide the noise
    cohort.stage.open(0)
    rollout = cohort.learner.roll_out(Play(cohort, 0, 0))

    def ratios() -> torch.Tensor:
        learner.draw_gates()
        with parametrize.cached(), torch.no_grad():
            logs = torch.log_softmax(learner.actor(rollout.states), 2)
        return (logs.gather(2, rollout.actions[..., None])[..., 0] - rollout.log_probabilities).exp()

    torch.testing.assert_close(ratios(), torch.ones_like(rollout.log_probabilities), atol=1e-5, rtol=0)
    learner.iterations += 1
    assert (ratios() - 1).abs().max() > 0.01


def test_member_2_of_a_grid_of_4_equals_the_same_member_alone() -> None:
    config = small()
    members = [
        MemberSpec(0, "l0", 1e-2),
        MemberSpec(1, "l0", 1e-2),
        MemberSpec(1, "l0", 0.5),
        MemberSpec(7, "l0", 1e-3),
    ]
    problem = VectorProblem.of(get_task("cartpole"))
    grid, alone = VectorCohort(config, members, problem), VectorCohort(config, members[2:3], problem)
    for number in range(13):
        together, single = grid.train_round(number), alone.train_round(number)
    assert alone.updates >= 200
    for name in ("actor_loss", "critic_loss", "entropy"):
        assert together[2][name] == pytest.approx(single[0][name], rel=1e-5, abs=1e-6)
    for ours, theirs in zip(
        grid.learner.policy_sparsifier.finalize(), alone.learner.policy_sparsifier.finalize(), strict=True
    ):
        torch.testing.assert_close(ours[2], theirs[0], atol=1e-4, rtol=0)


def test_steps_that_only_begin_an_episode_are_not_valid() -> None:
    cohort = VectorCohort(
        small(horizon=200), [MemberSpec(0, "none", 0.0)], VectorProblem.of(get_task("cartpole"))
    )
    cohort.stage.open(0)
    rollout = cohort.learner.roll_out(Play(cohort, 0, 0))
    invalid = rollout.valid[0] == 0
    assert 0.01 < float(invalid.float().mean()) < 0.2
    # such a step's state is the last one of an episode: the pole or the cart is out of bounds
    state = rollout.states[0][invalid] * torch.tensor(cohort.problem.normalizer.scale)
    assert bool(((state[:, 2].abs() > 0.2095) | (state[:, 0].abs() > 2.4)).all())
