"""Members side by side whose actions are vectors: a toy learner steps them, is stopped and goes on."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from l0_surgical.algorithms.learner import Learner
from l0_surgical.algorithms.networks import MemberMLP, network_seeds
from l0_surgical.algorithms.optimizer import make_optimizer
from l0_surgical.algorithms.registry import open_setting
from l0_surgical.algorithms.vector_cohort import Play, VectorCohort
from l0_surgical.algorithms.vector_stage import VectorProblem
from l0_surgical.settings.algorithm import ActionKind, VectorConfig
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.system.bounds import Bound
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import Task, get_task
from tests.misbehaving import GOAL


class TowardsTheGoal(Learner):
    """Fits the actor to the way to the goal, which the states hold, from where its noise has led it."""

    networks, optimizers = ("actor",), ("optimizer",)
    reports = ("train_return", "validation_return", "loss", "actor_sparsity")

    def __init__(self, config, dimensions, seeds, sparsify, device="cpu") -> None:
        super().__init__()
        (observation, self.actions), self.config = dimensions, config
        sizes = (observation, *config.hidden, self.actions)
        self.actor = self.policy_network = MemberMLP(sizes, network_seeds(seeds, 0), "tanh")
        self.sparsifier = self.policy_sparsifier = sparsify("actor")
        self.sparsifier.attach(self.actor)
        self.optimizer = make_optimizer(self.actor, self.sparsifier, 1e-2)

    def train_round(self, play: Play) -> dict[str, Tensor]:
        losses = []
        shape = (self.config.horizon, self.config.environments, self.actions)
        noise = np.stack([g.normal(0, 0.3, shape) for g in play.generators(1)], axis=1)
        for disturbance in noise:
            states = play.tensor(play.states)
            self.sparsifier.step(self.updates)
            actions = self.actor(states)
            wanted = (10 * (states[..., 2:] - states[..., :2])).clamp(-1, 1)
            losses.append((actions - wanted).square().mean((1, 2)))
            self.minimize((losses[-1], self.optimizer))
            self.updates += 1
            play.step(np.clip(actions.detach().numpy() + disturbance, -1, 1).astype(np.float32))
        return {"loss": torch.stack(losses).detach().mean(0)}


@dataclass(frozen=True)
class BoxConfig(VectorConfig):
    name: ClassVar[str] = "box"
    learner: ClassVar[type] = TowardsTheGoal
    action_kinds: ClassVar[tuple[ActionKind, ...]] = ("box",)

    hidden: tuple[int, ...] = (32,)
    environments: int = 4
    horizon: Annotated[int, Bound(1, 1000)] = 30

    @property
    def steps_per_round(self) -> int:
        return self.environments * self.horizon


@pytest.fixture
def task() -> Task:
    return get_task(GOAL)


CONFIG = TrainingConfig(
    task=GOAL, algorithm=BoxConfig(), steps=960, evaluation_episodes=4, checkpoint_every=4
)
MEMBERS = [MemberSpec(0, "none", 0.0), MemberSpec(5, "none", 0.0)]


def cohort_of(task: Task, members: list[MemberSpec] = MEMBERS) -> VectorCohort:
    return VectorCohort(CONFIG, members, VectorProblem.of(task))


def test_vectors_are_learned_and_give_a_policy_of_vectors(task: Task) -> None:
    cohort = cohort_of(task)
    before = cohort.validate(0)
    rows = [cohort.train_round(number) for number in range(8)]
    after = cohort.validate(7)
    for member in range(2):
        assert rows[-1][member]["loss"] < 0.5 * rows[0][member]["loss"]
        assert after[member]["validation_return"] > before[member]["validation_return"] + 1
    policy = cohort.policy(0)
    assert (policy.action_size, policy.layers[-1].activation) == (2, "tanh")
    assert cohort.env_steps == [960, 960]


def test_a_member_equals_itself_alone_and_a_run_that_goes_on(task: Task) -> None:
    together, alone, first, second = (
        cohort_of(task, members) for members in (MEMBERS, MEMBERS[1:], MEMBERS, MEMBERS)
    )
    for number in range(4):
        together.train_round(number)
        alone.train_round(number)
        if number < 2:
            first.train_round(number)
    second.load_state_dict(first.state_dict())
    for number in (2, 3):
        second.train_round(number)
    for whole, resumed in zip(together.learner.actor.layers, second.learner.actor.layers, strict=True):
        assert torch.equal(whole.weight, resumed.weight)
    for whole, single in zip(together.learner.actor.layers, alone.learner.actor.layers, strict=True):
        torch.testing.assert_close(whole.weight[1], single.weight[0])


def test_an_algorithm_of_choices_is_refused(task: Task) -> None:
    choosing = dataclasses.make_dataclass("Choosing", [], bases=(BoxConfig,), frozen=True)
    choosing.action_kinds = ("choice",)
    config = dataclasses.replace(CONFIG, algorithm=choosing())
    with pytest.raises(
        BadInputError, match=r"box cannot learn misbehaving/Goal-v0, which has continuous actions"
    ):
        open_setting(config, task)
