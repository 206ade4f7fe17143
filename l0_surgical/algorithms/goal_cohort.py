"""Members that learn a goal task from episodes, one after the other, with goals in hindsight and an expert's
demonstrations. A round is an episode."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.cohort import MemberCohort
from l0_surgical.algorithms.goal_problem import GoalProblem, make_goal_problem
from l0_surgical.algorithms.networks import to_policy_layers
from l0_surgical.algorithms.replay import Episode as ReplayEpisode
from l0_surgical.algorithms.replay import HindsightReplay, TransitionBatch
from l0_surgical.evaluation import Evaluation, episode_seeds, policy_act
from l0_surgical.policy import Policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import Sparsifier, network_sparsity, network_sparsity_at_init
from l0_surgical.system.errors import BadInputError, L0SurgicalError

__all__ = ["Act", "GoalCohort", "GoalLearner", "GoalPlay", "GoalProblem", "make_goal_problem"]

Act = Callable[[np.ndarray], np.ndarray]
"""From a flat observation (obs,) to an action (act,)."""
_NO_END = (
    "episodes of {task} can terminate, but it has no compute_terminated(achieved_goal, desired_goal, info): "
    "a goal that is reached in hindsight ends nothing, which slows the learning down; see docs/extending.md"
)


class GoalPlay:
    """A round of a cohort, as its learner sees it.

    Attributes:
        number: of the round.
        rounds: in the whole training.
    """

    def __init__(self, cohort: "GoalCohort", number: int) -> None:
        self.number, self.rounds, self._cohort = number, cohort.config.rounds, cohort

    def generators(self, stream: int) -> list[np.random.Generator]:
        """A generator per member of the random numbers of this round, others for every `stream`."""
        return self._cohort.generators(stream, self.number)

    def sample(self, updates: int, size: int, stream: int) -> TransitionBatch:
        """Batches for `updates` consecutive updates with goals in hindsight: every tensor is (updates,
        members, size, ...), states are normalised."""
        cohort, generators = self._cohort, self.generators(stream)
        everyone = range(len(cohort.members))
        stored = [i for i in everyone if cohort.replay.transitions(i)]
        owners = [i if i in stored else stored[0] for i in everyone]
        batch = cohort.replay.sample(updates, size, generators, owners)
        states, next_states = cohort.normalize(batch.states), cohort.normalize(batch.next_states)
        parts = (states, batch.actions, batch.rewards, next_states, batch.terminated)
        return TransitionBatch(*map(cohort.tensor, parts))

    def demonstrations(self, updates: int, size: int, stream: int) -> tuple[Tensor, Tensor]:
        """Normalised states (updates, members, size, state) of the expert and its actions there."""
        cohort = self._cohort
        known = cohort.problem.demonstrations
        drawn = [g.integers(len(known.states), size=(updates, size)) for g in self.generators(stream)]
        index = np.stack(drawn, axis=1)
        return cohort.tensor(cohort.normalize(known.states)[index]), cohort.tensor(known.actions[index])


class GoalLearner(Protocol):
    """A `Learner` that a `GoalCohort` plays for, made as `learner(config, (state, action), seeds, sparsify,
    device)`; its policy's outputs are actions in [-1, 1].

    Attributes:
        critic_sparsifier: of the critic; None where there is no critic.
    """

    critic_sparsifier: Sparsifier | None

    def explore(self, play: GoalPlay, member: int, act: Act, shape: tuple[int, int]) -> Act:
        """How a member acts in a training episode, given its policy; `shape` is (steps, act)."""

    def train_round(self, play: GoalPlay) -> dict[str, Tensor | float]:
        """Learns after an episode of every member; returns diagnostics `(members,)`, or one number for
        all."""


class GoalCohort(MemberCohort):
    """Trains `members` (all of one regulariser) on `problem`."""

    def __init__(self, config: TrainingConfig, members: Sequence[MemberSpec], problem: GoalProblem) -> None:
        observation, goal, action = problem.dimensions
        super().__init__(config, members, (observation + goal, action))
        self.problem, settings = problem, config.algorithm
        self._steps = [0] * len(self.members)
        self.replay = HindsightReplay(
            members=len(members),
            capacity=settings.buffer_size,
            horizon=problem.environment.spec.max_episode_steps,
            dimensions=problem.dimensions,
            relabel_fraction=settings.relabel_fraction,
            rules=problem.rules,
        )

    @property
    def is_over(self) -> bool:
        """See `Cohort`."""
        return len(self.failures) == len(self.members)

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`."""
        return list(self._steps)

    def train_round(self, number: int) -> list[dict[str, float | None]]:
        """Plays one episode per member, then makes the episode's updates; see `Cohort`."""
        self._just_failed.clear()
        played = self.play(number)
        if self.is_over:
            return [{} for _ in self.members]
        self.learner.set_learning_rate(self._rate(number))
        self.problem.repair()  # replay asks it for rewards
        figures = self.learn(number)
        for index, cause in self.learner.diverged.items():
            self.failures.setdefault(index, f"episode {number}, {cause}")
        return self._rows(figures, played)

    def learn(self, number: int) -> dict[str, Tensor | float]:
        """The updates of a round; returns the learner's diagnostics."""
        return self.learner.train_round(GoalPlay(self, number))

    def play(self, episode: int) -> list[dict[str, float | None] | None]:
        """One exploring episode per member into its replay buffer; None for members that have stopped.

        Nothing is stored before all have played, so that a stop in between leaves the round as it was.
        """
        played = [
            None if index in self.failures else self._play(index, episode)
            for index in range(len(self.members))
        ]
        for index, one in enumerate(played):
            if one is not None:
                self._steps[index] += one[1].length
                self.replay.add(index, one[1])
        return [None if one is None else one[0] for one in played]

    def _play(self, index: int, episode: int) -> tuple[dict[str, float | None], ReplayEpisode] | None:
        member, environment = self.members[index], self.problem.environment
        shape = (environment.spec.max_episode_steps, environment.action_space.shape[0])
        greedy = policy_act(self.policy(index), environment, self.problem.task.name)
        act = self.learner.explore(GoalPlay(self, episode), index, greedy, shape)
        seed = episode_seeds("train", member.seed, episode + 1)[-1]
        try:
            (played,) = self.problem.rollouts(act, [seed], episode)
            recorded = environment.episode()
        except L0SurgicalError as error:
            self._environment_failed(index, str(error))
            return None
        if recorded.terminated and not self.problem.rules.has_end:
            warnings.warn(_NO_END.format(task=self.problem.task.name), stacklevel=2)
        return {
            "train_return": played.total_reward,
            "train_success": None if played.success is None else float(played.success),
        }, recorded

    def policy(self, index: int) -> Policy:
        """One member's actor as it acts now, without provenance."""
        learner, task = self.learner, self.problem.task
        return Policy(
            task=task.name,
            inputs=task.inputs,
            outputs=task.outputs,
            normalizer=self.problem.normalizer,
            layers=to_policy_layers(learner.policy_network, self._final_weights(), index),
            trained_parameters=learner.policy_network.parameters_per_member,
            gate_seed=learner.policy_sparsifier.gate_seed,
        )

    def validate(self, number: int) -> list[dict[str, float | None]]:
        """See `Cohort`."""
        sparsity, task, environment = self.sparsity(), self.problem.task.name, self.problem.environment
        self._just_failed.clear()
        rows = []
        for index, member in enumerate(self.members):
            if index in self.failures:
                rows.append({})
                continue
            seeds = episode_seeds("validation", member.seed, self.config.evaluation_episodes)
            try:
                played = self.problem.rollouts(policy_act(self.policy(index), environment, task), seeds)
            except L0SurgicalError as error:
                self._environment_failed(index, f"validation after episode {number}: {error}")
                rows.append({})
                continue
            known = Evaluation.of(task, 0, played).as_dict()
            named = [name for name in sparsity if not name.endswith("_at_init")]
            row = {name: float(sparsity[name][index]) for name in named}
            rows.append(
                row | {"validation_return": known["return_mean"], "validation_success": known["success_rate"]}
            )
        return rows

    def figures(self) -> list[dict[str, Any]]:
        """See `Cohort`."""
        cost = {"parameters": self.learner.policy_network.parameters_per_member, "updates": self.updates}
        each = {name: values.tolist() for name, values in self.sparsity().items()} | {
            "env_steps": self.env_steps
        }
        return [
            {}
            if index in self.failures
            else {**{name: values[index] for name, values in each.items()}, **cost}
            for index in range(len(self.members))
        ]

    def _final_weights(self) -> list[Tensor]:
        """The actor's finalized weights, made once per update and not once per member."""
        if getattr(self, "_finalized_at", None) != self.learner.updates:
            self._finalized, self._finalized_at = (
                self.learner.policy_sparsifier.finalize(),
                self.learner.updates,
            )
        return self._finalized

    def sparsity(self) -> dict[str, np.ndarray]:
        """Sparsity of actor and critic, now and at initialisation, each `(members,)`."""
        both = {"actor": self.learner.policy_sparsifier, "critic": self.learner.critic_sparsifier}
        reports = {name: one.report() for name, one in both.items() if one is not None}
        now = {f"{name}_sparsity": network_sparsity(report) for name, report in reports.items()}
        begin = {f"{name}_sparsity_at_init": network_sparsity_at_init(r) for name, r in reports.items()}
        return {**now, **begin}

    def state_dict(self) -> dict:
        """Everything needed to go on exactly where this left off."""
        replay = {name: torch.from_numpy(array) for name, array in self.replay.state_dict().items()}
        return {
            "learner": self.learner.state_dict(),
            "replay": replay,
            "failures": dict(self.failures),
            "env_steps": self.env_steps,
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave.

        Raises:
            BadInputError: another version gave it.
        """
        try:
            self.learner.load_state_dict(state["learner"])
            self.replay.load_state_dict({name: tensor.numpy() for name, tensor in state["replay"].items()})
            self.failures, self._steps = dict(state["failures"]), list(state["env_steps"])
        except KeyError as error:
            remedy = "delete checkpoint.pt to start the run from its beginning"
            raise BadInputError(
                f"the checkpoint is from another version of l0_surgical (it has no {error}); {remedy}"
            ) from error
        self._finalized_at = None

    def normalize(self, states: np.ndarray) -> np.ndarray:
        """States as the networks read them."""
        n = self.problem.normalizer
        return np.clip((states - n.mean) / n.scale, -n.clip, n.clip)
