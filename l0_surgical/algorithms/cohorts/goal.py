"""Goal tasks with continuous actions: DDPG with hindsight replay and demonstrations. A round is an
episode."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from l0_surgical.algorithms.cohorts.common import GATE_SEED, linear_schedule, make_sparsifier, random_numbers
from l0_surgical.algorithms.cohorts.goal_problem import GoalProblem, make_goal_problem
from l0_surgical.algorithms.ddpg import DDPG, UpdateBatch
from l0_surgical.algorithms.learner import mean_figures
from l0_surgical.algorithms.networks import to_policy_layers
from l0_surgical.algorithms.replay import Episode as ReplayEpisode
from l0_surgical.algorithms.replay import HindsightReplay, expert_actions
from l0_surgical.evaluation import Evaluation, episode_seeds, policy_act
from l0_surgical.policy import Policy
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.sparsity import network_sparsity, network_sparsity_at_init
from l0_surgical.system.errors import BadInputError, L0SurgicalError

__all__ = ["GoalCohort", "GoalProblem", "make_goal_problem"]

_NOISE, _REPLAY, _DEMONSTRATION = 1, 2, 3
_NO_END = (
    "episodes of {task} can terminate, but it has no compute_terminated(achieved_goal, desired_goal, info): "
    "a goal that is reached in "
    "hindsight ends nothing, which slows the learning down; see docs/extending.md"
)


class GoalCohort:
    """Trains `members` (all of one regulariser) on `problem`."""

    reports = (
        *(
            "train_return",
            "train_success",
            "validation_return",
            "validation_success",
            "actor_loss",
            "critic_loss",
            "q",
        ),
        *("actor_penalty", "critic_penalty", "actor_sparsity", "critic_sparsity", "dex_coefficient"),
    )

    def __init__(self, config: TrainingConfig, members: Sequence[MemberSpec], problem: GoalProblem) -> None:
        self.config, self.members, self.problem = config, tuple(members), problem
        self.failures: dict[int, str] = {}
        self._just_failed: set[int] = (
            set()
        )  # whose environment failed in the last call of train_round or validate
        observation, goal, action = problem.dimensions
        ddpg = config.ddpg
        self.replay = HindsightReplay(
            members=len(members),
            capacity=ddpg.buffer_size,
            horizon=problem.environment.spec.max_episode_steps,
            dimensions=problem.dimensions,
            relabel_fraction=ddpg.relabel_fraction,
            rules=problem.rules,
        )
        self._steps = [0] * len(self.members)
        actor, critic = (
            make_sparsifier(config, members, name, ddpg.updates_per_episode) for name in ("actor", "critic")
        )
        self.learner = DDPG(
            ddpg, (observation + goal, action), [m.seed for m in members], (actor, critic), config.device
        )
        self._epsilon = linear_schedule(1.0, 0.0, config.episodes)
        self._dex = linear_schedule(ddpg.dex_coefficient, 0.0, ddpg.dex_anneal_episodes)
        self._rate = linear_schedule(1.0, ddpg.final_learning_rate_factor, config.episodes)

    @property
    def is_over(self) -> bool:
        """See `Cohort`."""
        return len(self.failures) == len(self.members)

    @property
    def env_steps(self) -> list[int]:
        """See `Cohort`."""
        return list(self._steps)

    @property
    def updates(self) -> int:
        """See `Cohort`."""
        return self.learner.updates

    def train_round(self, number: int) -> list[dict[str, float | None]]:
        """Plays one episode per member, then makes the episode's updates; see `Cohort`."""
        episode = number
        self._just_failed.clear()
        played = self.play(episode)
        if self.is_over:
            return [{} for _ in self.members]
        self.learner.set_learning_rate(self._rate(episode))
        self.problem.repair()  # replay asks it for rewards
        figures = self.learn(episode)
        for index, cause in self.learner.diverged.items():
            self.failures.setdefault(index, f"episode {episode}, {cause}")
        rows = []
        for index, result in enumerate(played):
            mine = {name: float(values[index]) for name, values in figures.items()}
            rows.append(
                {}
                if index in self.failures or result is None
                else {**result, **mine, "dex_coefficient": self._dex(episode)}
            )
        return rows

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
        noise = random_numbers(member.seed, _NOISE, episode).standard_normal(shape)
        noise *= self.config.ddpg.noise_scale * self._epsilon(episode)
        act, steps = policy_act(self.policy(index), environment, self.problem.task.name), iter(noise)
        seed = episode_seeds("train", member.seed, episode + 1)[-1]
        try:
            (played,) = self.problem.rollouts(
                lambda flat: np.clip(act(flat) + next(steps), -1, 1).astype(np.float32), [seed], episode
            )
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

    def _environment_failed(self, index: int, cause: str) -> None:
        self.failures[index] = cause
        self._just_failed.add(index)
        self.learner.stop(index, cause)

    def forgive(self) -> None:
        """See `Cohort`."""
        for index in self._just_failed:
            del self.failures[index], self.learner.diverged[index]
        self._just_failed.clear()

    def learn(self, episode: int) -> dict[str, np.ndarray]:
        """`updates_per_episode` updates; returns each diagnostic's mean over them, `(members,)`."""
        ddpg, dex = self.config.ddpg, self._dex(episode)
        updates, size = ddpg.updates_per_episode, ddpg.batch_size
        stored = [i for i in range(len(self.members)) if self.replay.transitions(i)]
        owners = [i if i in stored else stored[0] for i in range(len(self.members))]
        generators = [random_numbers(m.seed, _REPLAY, episode) for m in self.members]
        batch = self.replay.sample(updates, size, generators, owners)
        states, next_states = (
            self._tensor(self._normalize(batch.states)),
            self._tensor(self._normalize(batch.next_states)),
        )
        expert, next_expert = self._expert_actions(states, next_states, episode) if dex > 0 else (None, None)
        actions, rewards, terminated = (
            self._tensor(batch.actions),
            self._tensor(batch.rewards),
            self._tensor(batch.terminated),
        )
        figures = []
        for u in range(updates):
            guides = (None, None) if expert is None else (expert[u], next_expert[u])
            one = UpdateBatch(states[u], actions[u], rewards[u], next_states[u], terminated[u], *guides)
            figures.append(self.learner.update(one, dex))
        return {name: values.cpu().numpy() for name, values in mean_figures(figures).items()}

    def _expert_actions(
        self, states: torch.Tensor, next_states: torch.Tensor, episode: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The expert's actions estimated from a fresh batch of demonstrations per update (Algorithm 3, steps
        2 and 3)."""
        demonstrations, shape = self.problem.demonstrations, (states.shape[0], states.shape[2])
        index = np.stack(
            [
                random_numbers(m.seed, _DEMONSTRATION, episode).integers(
                    len(demonstrations.states), size=shape
                )
                for m in self.members
            ],
            axis=1,
        )
        known = self._tensor(self._normalize(demonstrations.states)[index])
        actions, k = self._tensor(demonstrations.actions[index]), self.config.ddpg.neighbours
        return expert_actions(states, known, actions, k), expert_actions(next_states, known, actions, k)

    def policy(self, index: int) -> Policy:
        """One member's actor as it acts now, without provenance."""
        learner, task, member = self.learner, self.problem.task, self.members[index]
        sampled = member.regularizer == "l0" and self.config.sparsity.evaluation == "sampled"
        return Policy(
            task=task.name,
            inputs=task.inputs,
            outputs=task.outputs,
            normalizer=self.problem.normalizer,
            layers=to_policy_layers(learner.actor, self._final_weights(), index),
            trained_parameters=learner.actor.parameters_per_member,
            gate_seed=GATE_SEED if sampled else None,
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
            row = {name: float(sparsity[name][index]) for name in ("actor_sparsity", "critic_sparsity")}
            rows.append(
                row | {"validation_return": known["return_mean"], "validation_success": known["success_rate"]}
            )
        return rows

    def figures(self) -> list[dict[str, Any]]:
        """See `Cohort`."""
        cost = {"parameters": self.learner.actor.parameters_per_member, "updates": self.updates}
        each = {name: values.tolist() for name, values in self.sparsity().items()} | {
            "env_steps": self.env_steps
        }
        return [
            {}
            if index in self.failures
            else {**{name: values[index] for name, values in each.items()}, **cost}
            for index in range(len(self.members))
        ]

    def _final_weights(self) -> list[torch.Tensor]:
        """The actor's finalized weights, made once per update and not once per member."""
        if getattr(self, "_finalized_at", None) != self.learner.updates:
            self._finalized, self._finalized_at = (
                self.learner.actor_sparsifier.finalize(),
                self.learner.updates,
            )
        return self._finalized

    def sparsity(self) -> dict[str, np.ndarray]:
        """Sparsity of actor and critic, now and at initialisation, each `(members,)`."""
        actor, critic = self.learner.actor_sparsifier.report(), self.learner.critic_sparsifier.report()
        return {
            "actor_sparsity": network_sparsity(actor),
            "critic_sparsity": network_sparsity(critic),
            "actor_sparsity_at_init": network_sparsity_at_init(actor),
            "critic_sparsity_at_init": network_sparsity_at_init(critic),
        }

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

    def _normalize(self, states: np.ndarray) -> np.ndarray:
        n = self.problem.normalizer
        return np.clip((states - n.mean) / n.scale, -n.clip, n.clip)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.config.device)
