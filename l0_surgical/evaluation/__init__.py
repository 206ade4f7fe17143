"""Episodes of a policy on a task, one by one or side by side; their seeds; intervals of what came of them."""

from l0_surgical.evaluation.episodes import Act, Episode, policy_act, rollouts, with_random_actions
from l0_surgical.evaluation.evaluator import Evaluation, Evaluator, evaluate
from l0_surgical.evaluation.intervals import mean_interval, wilson_interval
from l0_surgical.evaluation.seeds import STREAMS, Stream, episode_seeds
from l0_surgical.evaluation.vector import vector_episodes, vector_rollouts

__all__ = [
    "STREAMS",
    "Act",
    "Episode",
    "Evaluation",
    "Evaluator",
    "Stream",
    "episode_seeds",
    "evaluate",
    "mean_interval",
    "policy_act",
    "rollouts",
    "vector_episodes",
    "vector_rollouts",
    "wilson_interval",
    "with_random_actions",
]
