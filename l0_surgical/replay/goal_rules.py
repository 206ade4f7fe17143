"""What hindsight replay asks of a goal task: reward and end of a transition as functions of its goals, as in Gymnasium-Robotics' `GoalEnv`.

A transition that gets another goal in hindsight gets another reward, and it may end the episode where it did not before, or the other
way round. Only the task knows: by `compute_reward(achieved_goal, desired_goal, info)` and, where its episodes can terminate,
`compute_terminated(achieved_goal, desired_goal, info)`. There is no info for a goal that was never played, so it is {}.
"""

from dataclasses import dataclass

import gymnasium
import numpy as np

from l0_surgical.errors import BadInputError


@dataclass(frozen=True)
class GoalTransitions:
    """The transitions of an episode as the environment gave them: `achieved` and `desired` (T, goal) after each step, `rewards` (T,),
    `terminated` (T,)."""

    achieved: np.ndarray
    desired: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray


class GoalRules:
    """The rules of an open environment, or of a wrapper around it.

    Args:
        environment: has `compute_reward`, vectorised over leading axes, and perhaps `compute_terminated`, which need not be.
        task: its name, for messages.

    Raises:
        BadInputError: it has no `compute_reward`.
    """

    def __init__(self, environment: gymnasium.Env, task: str) -> None:
        self._task = task
        if not environment.has_wrapper_attr("compute_reward"):
            raise BadInputError(f"{task} has no compute_reward(achieved_goal, desired_goal, info), which hindsight replay needs; add it")
        self._reward = environment.get_wrapper_attr("compute_reward")
        ends = environment.get_wrapper_attr("compute_terminated") if environment.has_wrapper_attr("compute_terminated") else None
        # GoalEnv's own only says that there should be one
        self._terminated = None if getattr(ends, "__isabstractmethod__", False) else ends

    @property
    def has_end(self) -> bool:
        """Whether the task says which goals end an episode."""
        return self._terminated is not None

    def rewards(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """The rewards (...) float32 of achieved goals (..., goal) for desired ones."""
        return np.asarray(self._reward(achieved, desired, {}), np.float32)

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray | None:
        """Whether they end an episode, (...) bool; None where the task has no rule for it."""
        if self._terminated is None:
            return None
        size = achieved.shape[-1]
        # one by one: in Gymnasium-Robotics the rule is of single goals
        pairs = zip(achieved.reshape(-1, size), desired.reshape(-1, size), strict=True)
        ends = [bool(self._terminated(one, goal, {})) for one, goal in pairs]
        return np.array(ends, np.bool_).reshape(achieved.shape[:-1])

    def check(self, played: GoalTransitions) -> None:
        """Compares the rules with what an episode gave.

        Raises:
            BadInputError: a rule fails without info, is not vectorised or contradicts `step`.
        """
        remedy = "both are called without info ({}), the first with goals of any leading axes"
        try:
            # with the leading axes of a batch: updates, members, transitions
            rewards = np.asarray(self._reward(played.achieved[None, None], played.desired[None, None], {}), np.float64)
            terminated = self.terminated(played.achieved, played.desired)
        except Exception as error:  # the task's own code
            self._refuse(f"its compute_reward or compute_terminated fails ({type(error).__name__}: {error})", remedy)
        if rewards.shape != (1, 1, len(played.rewards)):
            wanted = f"for goals of shape {played.achieved[None, None].shape} its compute_reward gives rewards of shape {rewards.shape}"
            self._refuse(wanted, f"it must be {(1, 1, len(played.rewards))}")
        wrong = np.flatnonzero(~np.isclose(rewards[0, 0], played.rewards, rtol=1e-4, atol=1e-6))
        if wrong.size:
            given, computed = played.rewards[wrong[0]], rewards[0, 0, wrong[0]]
            self._refuse(f"its compute_reward gives {computed:g} where step {wrong[0] + 1} gave {given:g}", "the two must be equal")
        if terminated is not None and (wrong := np.flatnonzero(terminated & ~played.terminated)).size:
            self._refuse(f"its compute_terminated is true at step {wrong[0] + 1}, which did not terminate", "the two must be equal")

    def _refuse(self, what: str, remedy: str) -> None:
        raise BadInputError(f"{self._task} does not fit hindsight replay: {what}; {remedy}")
