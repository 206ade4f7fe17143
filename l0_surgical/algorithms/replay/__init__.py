"""Experience: hindsight and transition buffers per member, priorities, and expert demonstrations."""

from l0_surgical.algorithms.replay.demonstrations import Demonstrations, expert_actions
from l0_surgical.algorithms.replay.goal_rules import GoalRules, GoalTransitions
from l0_surgical.algorithms.replay.hindsight import Batch, Episode, HindsightReplay
from l0_surgical.algorithms.replay.priorities import (
    Priorities,
    SoftmaxPriorities,
    SumTree,
    importance_weights,
)
from l0_surgical.algorithms.replay.prioritized import PrioritizedReplay, TransitionBatch
from l0_surgical.algorithms.replay.recorder import Recorder
from l0_surgical.algorithms.replay.transitions import TransitionReplay, Transitions

__all__ = [
    "Batch",
    "Demonstrations",
    "Episode",
    "GoalRules",
    "GoalTransitions",
    "HindsightReplay",
    "Priorities",
    "PrioritizedReplay",
    "Recorder",
    "SoftmaxPriorities",
    "SumTree",
    "TransitionBatch",
    "TransitionReplay",
    "Transitions",
    "expert_actions",
    "importance_weights",
]
