import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from l0_surgical.algorithms.ddpg import DDPG, UpdateBatch
from l0_surgical.algorithms.goal_cohort import GoalCohort
from l0_surgical.algorithms.schedules import Linear
from l0_surgical.settings.ddpg import DDPGConfig
from l0_surgical.settings.training import MemberSpec
from l0_surgical.sparsity import GateSettings, HardConcrete, NoSparsifier, Schedule, Shrinkage, Sparsifier
from tests.small import dense, small_config, small_problem

CONFIG = DDPGConfig(hidden=(16, 16), discount=0.8, target_rate=0.05, clip_target=False)


def learner(seeds: tuple[int, ...] = (0,), **changes: object) -> DDPG:
    config = dataclasses.replace(CONFIG, **changes)
    return DDPG(config, (3, 2), seeds, dense(len(seeds)))


def batch(members: int = 1, size: int = 32, terminated: bool = False, seed: int = 0) -> UpdateBatch:
    generator = torch.Generator().manual_seed(seed)

    def random(features: int) -> torch.Tensor:
        return torch.rand(members, size, features, generator=generator) * 2 - 1

    ended = torch.full((members, size), terminated)
    return UpdateBatch(
        random(3), random(2), -torch.ones(members, size), random(3), ended, random(2), random(2)
    )


def q_of(agent: DDPG, data: UpdateBatch) -> torch.Tensor:
    return agent.critic.value(torch.cat([data.states, data.actions], dim=2)).detach()


@pytest.mark.parametrize(("terminated", "value"), [(False, -1 / (1 - 0.8)), (True, -1.0)])
def test_the_critic_learns_the_closed_form_value(terminated: bool, value: float):
    """A reward of -1 for ever is worth -1 / (1 - gamma); a terminated step is worth its reward alone, so the
    wrong setting fails."""
    agent, data = (
        learner(critic_learning_rate=5e-3, target_rate=0.5, actor_learning_rate=1e-9),
        batch(terminated=terminated),
    )
    data = dataclasses.replace(data, next_states=data.states, actions=agent.actor(data.states).detach())
    for _ in range(600):
        agent.update(data, dex_coefficient=0.0)
    np.testing.assert_allclose(q_of(agent, data), value, atol=0.15)


def test_the_losses_are_equations_3_14_and_3_15():
    agent, data, alpha = learner((0, 1)), batch(members=2), 2.5
    with torch.no_grad():
        next_actions = agent.actor_target(data.next_states)
        next_q = agent.critic_target.value(torch.cat([data.next_states, next_actions], dim=2))
        target = -1 + 0.8 * next_q - alpha * (next_actions - data.next_expert_actions).norm(dim=2)
        critic_loss = (q_of(agent, data) - target).square().mean(1)
        actions = agent.actor(data.states)
        q = agent.critic.value(torch.cat([data.states, actions], dim=2))
        actor_loss = -(q - alpha * (actions - data.expert_actions).norm(dim=2)).mean(1)
    figures = agent.update(data, alpha)
    torch.testing.assert_close(figures["critic_loss"], critic_loss)
    torch.testing.assert_close(figures["actor_loss"], actor_loss)


def sparsifier_of(kind: str) -> Sparsifier:
    if kind == "dense":
        return NoSparsifier(2)
    if kind == "l1":
        return Shrinkage([0.01, 0.1], "l1", 1e-3)
    gates = GateSettings(2 / 3, -0.1, 1.1, 2.0, 1e-2, "deterministic", wait=kind == "waiting gates")
    return HardConcrete(
        [0.01, 0.1], [0, 1], gates, stream=1, schedule=Schedule(0 if kind == "gates" else 10**6)
    )


@pytest.mark.parametrize("critic", ["dense", "l1", "gates", "waiting gates"])
def test_the_actor_learns_from_the_critic_as_it_was_before_the_update(critic: str):
    """Both gradients are plain autograd's on a twin that made the same updates before and has not stepped
    since (Algorithm 3)."""
    config = dataclasses.replace(CONFIG, critic_learning_rate=0.03)
    agent, twin = (
        DDPG(
            config,
            (3, 2),
            (0, 1),
            lambda role: sparsifier_of(critic) if role == "critic" else NoSparsifier(2),
        )
        for _ in range(2)
    )
    for number in range(5):
        for one in (agent, twin):
            one.update(batch(members=2, seed=number), 1.0)
    data = batch(members=2, seed=99)
    agent.update(data, 1.0)

    twin.critic_sparsifier.step(twin.updates)
    actions = twin.actor(data.states)
    q = twin.critic.value(torch.cat([data.states, actions], dim=2))
    actor_total = -(q - (actions - data.expert_actions).norm(dim=2)).mean(1)
    error = twin.critic.value(torch.cat([data.states, data.actions], dim=2)) - twin._td_target(data, 1.0)
    critic_total = error.square().mean(1) + twin.critic_sparsifier.penalty() / 32
    for before, after, total in (
        (twin.actor_optimizer, agent.actor_optimizer, actor_total),
        (twin.critic_optimizer, agent.critic_optimizer, critic_total),
    ):
        expected = torch.autograd.grad(total.sum(), before.parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(after.parameters, expected, strict=True):
            if gradient is None:  # gates that wait
                assert parameter.grad is None
            else:
                torch.testing.assert_close(
                    parameter.grad, gradient, atol=1e-5 * gradient.abs().max().item(), rtol=1e-5
                )


def test_dex_pulls_the_actor_to_the_expert_and_dies_with_its_weight():
    data = batch()
    distances = {}
    for alpha in (0.0, 5.0):
        agent = learner()
        for _ in range(600):
            agent.update(data, alpha)
        distances[alpha] = (agent.actor(data.states) - data.expert_actions).norm(dim=2).mean().item()
    assert distances[5.0] < 0.45
    assert distances[0.0] > 2 * distances[5.0]


def dreaming(seeds: tuple[int, ...] = (0,)) -> DDPG:
    """A clipped learner whose target critic promises 100 everywhere."""
    agent = learner(seeds, clip_target=True, hidden=())
    with torch.no_grad():
        agent.critic_target.layers[0].weight.zero_()
        agent.critic_target.layers[0].bias.fill_(100.0)
    return agent


def test_the_clipped_target_is_the_most_that_a_members_own_rewards_can_add_up_to():
    agent, rewards = dreaming((0, 1, 2)), torch.tensor([[-1.0, -3.0], [0.5, 2.0], [-1.0, 0.0]])
    data = dataclasses.replace(batch(members=3, size=2), rewards=rewards)
    bounds = torch.tensor([0.0, 2.0, 0.0]) / (1 - 0.8)
    torch.testing.assert_close(agent._td_target(data, 0.0), bounds.unsqueeze(1).expand(3, 2))
    torch.testing.assert_close(
        agent._td_target(data, 0.5) <= bounds.unsqueeze(1), torch.ones(3, 2, dtype=torch.bool)
    )
    ended = dataclasses.replace(data, terminated=torch.ones(3, 2, dtype=torch.bool))
    torch.testing.assert_close(agent._td_target(ended, 0.0), rewards)


def test_a_higher_reward_raises_the_bound_for_good_and_survives_a_checkpoint():
    agent, data = dreaming(), batch(size=2)
    rewards = [torch.full((1, 2), reward) for reward in (-1.0, 3.0, -1.0)]
    seen = [
        agent._td_target(dataclasses.replace(data, rewards=values), 0.0)[0, 0].item() for values in rewards
    ]
    assert seen == pytest.approx([0.0, 15.0, 15.0])
    other = dreaming()
    other.load_state_dict(agent.state_dict())
    torch.testing.assert_close(other._td_target(data, 0.0), agent._td_target(data, 0.0))


def test_rewards_above_0_are_learned_with_the_clip():
    data = dataclasses.replace(batch(), rewards=torch.ones(1, 32))
    agents = [
        learner(clip_target=clip, critic_learning_rate=5e-3, target_rate=0.5, actor_learning_rate=1e-9)
        for clip in (False, True)
    ]
    for agent in agents:
        repeated = dataclasses.replace(
            data, next_states=data.states, actions=agent.actor(data.states).detach()
        )
        for _ in range(600):
            agent.update(repeated, 0.0)
        np.testing.assert_allclose(q_of(agent, repeated), 1 / (1 - 0.8), atol=0.15)


def test_targets_follow_slowly():
    agent, data = learner(), batch()
    before = [layer.weight.clone() for layer in agent.critic_target.layers]
    online = [layer.weight.detach().clone() for layer in agent.critic.layers]
    agent.update(data, 0.0)
    with torch.no_grad():
        for layer, _, stepped in zip(agent.critic.layers, before, online, strict=True):
            assert not torch.equal(layer.weight, stepped)
    agent.update(data, 0.0)
    moved = [
        (a.weight - b).abs().max().item() for a, b in zip(agent.critic_target.layers, before, strict=True)
    ]
    assert 0 < max(moved) < 0.05 * 2 * 1e-2


def test_a_member_with_a_nan_loss_stops_with_its_last_weights_and_the_others_go_on():
    together, data = learner((0, 1, 2)), batch(members=3)
    for _ in range(5):
        together.update(data, 1.0)
    frozen = [p.detach().clone() for p in together.actor.parameters()]
    poisoned = data.rewards.clone()
    poisoned[1, 3] = float("nan")
    together.update(dataclasses.replace(data, rewards=poisoned), 1.0)
    assert list(together.diverged) == [1]
    assert "update 5" in together.diverged[1]
    assert "critic loss nan" in together.diverged[1]
    for _ in range(5):
        together.update(data, 1.0)
    for before, now in zip(frozen, together.actor.parameters(), strict=True):
        assert torch.equal(before[1], now[1])
        assert torch.isfinite(now).all()
        assert not torch.equal(before[0], now[0])
        assert not torch.equal(before[2], now[2])


def test_Linear():
    schedule = Linear(5.0, 0.0, 10)
    assert [schedule(step) for step in (0, 5, 10, 99)] == [5.0, 2.5, 0.0, 0.0]
    assert Linear(5.0, 0.0, 0)(7) == 5.0


def test_member_2_of_a_grid_of_4_equals_the_same_member_alone(tmp_path: Path):
    """To 1e-4 over the first 200 updates, with gates, demonstrations and hindsight replay on the real
    task."""
    config = small_config(episodes=200)
    ddpg = dataclasses.replace(config.algorithm, hidden=(256, 256, 256), updates_per_episode=50)
    config = dataclasses.replace(config, algorithm=ddpg)
    problem = small_problem(config, tmp_path)
    members = [
        MemberSpec(0, "l0", 1e-2),
        MemberSpec(1, "l0", 1e-2),
        MemberSpec(1, "l0", 0.5),
        MemberSpec(7, "l0", 1e-3),
    ]
    grid, alone = GoalCohort(config, members, problem), GoalCohort(config, members[2:3], problem)
    for episode in range(4):
        together, single = grid.train_round(episode), alone.train_round(episode)
        assert together[2]["train_return"] == single[0]["train_return"]
    assert grid.learner.updates == 200
    for part in ("actor", "critic", "actor_target", "critic_target"):
        pairs = zip(
            getattr(grid.learner, part).state_dict().items(),
            getattr(alone.learner, part).state_dict().values(),
            strict=True,
        )
        for (name, stacked), lone in pairs:
            torch.testing.assert_close(
                stacked[2],
                lone[0],
                atol=1e-4,
                rtol=0,
                msg=lambda m, name=name, part=part: f"{part} {name}: {m}",
            )
    assert not torch.allclose(
        grid.learner.actor.layers[0].weight[1], grid.learner.actor.layers[0].weight[2], atol=1e-4
    )
    problem.environment.close()
