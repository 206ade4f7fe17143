"""What hindsight replay asks of a goal task: reward and end of a transition as functions of its goals, as in
Gymnasium-Robotics' `GoalEnv`.

A transition that gets another goal in hindsight gets another reward, and it may end the episode where it did
not before, or the other way round. Only the task knows: by `compute_reward(achieved_goal, desired_goal,
info)` and, where its episodes can terminate, `compute_terminated(achieved_goal, desired_goal, info)`. There
is no info for a goal that was never played, so it is {}.
"""

from dataclasses import dataclass

import gymnasium
import numpy as np

from l0_surgical.system.errors import BadInputError, L0SurgicalError


@dataclass(frozen=True)
class GoalTransitions:
    """The transitions of an episode as the environment gave them: `achieved` and `desired` (T, goal) after
    each step, `rewards` (T,), `terminated` (T,)."""

    achieved: np.ndarray
    desired: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray


class GoalRules:
    """The rules of an open environment, or of a wrapper around it.

    Args:
        environment: has `compute_reward`, vectorised over leading axes, and perhaps `compute_terminated`,
            which need not be. Where it is the wrapper that the environment is opened anew under, its rules
            are those of the new one.
        task: its name, for messages.

    Raises:
        BadInputError: it has no `compute_reward`.
    """

    def __init__(self, environment: gymnasium.Env, task: str) -> None:
        self._environment, self._task = environment, task
        if not environment.has_wrapper_attr("compute_reward"):
            raise BadInputError(
                f"{task} has no compute_reward(achieved_goal, desired_goal, info), which hindsight replay "
                "needs; add it"
            )
        has_rule = environment.has_wrapper_attr("compute_terminated")
        # GoalEnv's own only says that there should be one
        self.has_end = has_rule and not getattr(
            environment.get_wrapper_attr("compute_terminated"), "__isabstractmethod__", False
        )

    def rewards(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """The rewards (...) float32 of achieved goals (..., goal) for desired ones.

        Raises:
            L0SurgicalError: the task's rule raised something, or gave something else than one finite number
            for each goal.
        """
        rewards = self._ask("compute_reward", achieved, desired)
        if rewards.shape != achieved.shape[:-1] or not np.isfinite(rewards).all():
            what = (
                "numbers that are not finite"
                if rewards.shape == achieved.shape[:-1]
                else f"rewards of shape {rewards.shape}"
            )
            raise L0SurgicalError(
                f"compute_reward of {self._task}, given goals of the shape {achieved.shape}, gave {what}; "
                "it must give one finite number for each goal, over leading axes"
            )
        return rewards.astype(np.float32)

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray | None:
        """Whether they end an episode, (...) bool; None where the task has no rule for it.

        Raises:
            L0SurgicalError: the task's rule raised something.
        """
        if not self.has_end:
            return None
        size = achieved.shape[-1]
        # one by one: in Gymnasium-Robotics the rule is of single goals
        pairs = zip(achieved.reshape(-1, size), desired.reshape(-1, size), strict=True)
        ends = [bool(self._ask("compute_terminated", one, goal)) for one, goal in pairs]
        return np.array(ends, np.bool_).reshape(achieved.shape[:-1])

    def check(self, played: GoalTransitions) -> None:
        """Compares the rules with what an episode gave.

        Raises:
            BadInputError: a rule fails without info, is not vectorised or contradicts `step`.
        """
        remedy = "both are called without info ({}), the first with goals of any leading axes"
        try:
            # with the leading axes of a batch: updates, members, transitions
            rewards = self._ask("compute_reward", played.achieved[None, None], played.desired[None, None])
            terminated = self.terminated(played.achieved, played.desired)
        except L0SurgicalError as error:
            self._refuse(str(error), remedy)
        if rewards.shape != (1, 1, len(played.rewards)):
            wanted = (
                f"for goals of shape {played.achieved[None, None].shape} its compute_reward gives "
                f"rewards of shape {rewards.shape}"
            )
            self._refuse(wanted, f"it must be {(1, 1, len(played.rewards))}")
        wrong = np.flatnonzero(~np.isclose(rewards[0, 0], played.rewards, rtol=1e-4, atol=1e-6))
        if wrong.size:
            given, computed = played.rewards[wrong[0]], rewards[0, 0, wrong[0]]
            self._refuse(
                f"its compute_reward gives {computed:g} where step {wrong[0] + 1} gave {given:g}",
                "the two must be equal",
            )
        if terminated is not None and (wrong := np.flatnonzero(terminated & ~played.terminated)).size:
            self._refuse(
                f"its compute_terminated is true at step {wrong[0] + 1}, which did not terminate",
                "the two must be equal",
            )

    def _ask(self, rule: str, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """What the environment's rule of that name gives without info, float64."""
        try:
            return np.asarray(self._environment.get_wrapper_attr(rule)(achieved, desired, {}), np.float64)
        except Exception as error:  # the task's own code
            words = f"{type(error).__name__}: {error}"
            raise L0SurgicalError(
                f"{rule} of {self._task}, given goals of the shape {achieved.shape}, failed: {words}"
            ) from error

    def _refuse(self, what: str, remedy: str) -> None:
        raise BadInputError(f"{self._task} does not fit hindsight replay: {what}; {remedy}")
