"""The policy's part of the way to one goal: an observation from the measured pose, an action, the pose that
it asks for."""

import math

import numpy as np

from l0_surgical.policy import Policy
from l0_surgical.robot.control.goals import check_goal
from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.runtime import Engine
from l0_surgical.surgical.kinematics import SURROL_WORLD, Vector
from l0_surgical.surgical.needle_reach import (
    EPISODE_STEPS,
    INPUTS,
    OUTPUTS,
    SUCCESS_DISTANCE,
    commanded_eef,
    policy_observation,
)
from l0_surgical.system.errors import BadInputError

STEPS_TO_STAY = 3
_CLOSED_JAW_RAD = 0.0


def check_policy(policy: Policy) -> None:
    """Raises BadInputError for a policy that does not observe and act as one of NeedleReach does."""
    if policy.inputs != INPUTS or policy.outputs != OUTPUTS:
        raise BadInputError(
            f"this is a policy of {policy.task!r}; the controller runs NeedleReach policies, e.g. "
            "needle-reach-l0-compressed"
        )


class Reaching:
    """An episode of the task at the arm: at most 50 policy steps; the goal is reached once the tip stayed
    within 5 mm for three of them.

    Args:
        engine: computes the actions.
        goal_m: the jaw tip's goal (3,), metres, in the arm's base frame.
        limits: their workspace bounds what the policy asks for.

    Raises:
        BadInputError: the goal is refused by `goals.check_goal`.
    """

    def __init__(self, engine: Engine, goal_m: Vector, limits: Limits) -> None:
        self.goal_m = check_goal(goal_m, limits)
        self.steps = 0
        self.distance_mm: float | None = None
        self.is_reached = False
        self.observation: tuple[float, ...] = ()
        self.action: tuple[float, ...] = ()
        self._engine = engine
        self._limits = limits
        self._goal = SURROL_WORLD.point_from_rcm(self.goal_m)
        self._steps_near = 0

    @property
    def is_over(self) -> bool:
        return self.is_reached or self.steps >= EPISODE_STEPS

    def step(self, measured: Pose) -> Pose:
        """The pose that the policy asks for, in the arm's base frame, inside the workspace.

        The jaw's angle is the one of training, 0: that the jaw is closed is checked elsewhere, and its offset
        is not the policy's business.

        Raises:
            BadInputError: the policy has no finite action.
        """
        position, axes = SURROL_WORLD.eef_from_tool(measured.matrix())
        distance = math.dist(SURROL_WORLD.tip_from_eef(position, axes), self._goal)
        self.distance_mm = 1e3 * distance / SURROL_WORLD.scale
        self._steps_near = self._steps_near + 1 if distance < SUCCESS_DISTANCE else 0
        self.is_reached = self._steps_near >= STEPS_TO_STAY
        observation = np.concatenate((policy_observation(position, axes, _CLOSED_JAW_RAD), self._goal))
        action = self._engine.act(observation)
        self.observation, self.action = tuple(observation.tolist()), tuple(action.tolist())
        self.steps += 1
        wanted = Pose.from_matrix(SURROL_WORLD.tool_from_eef(*commanded_eef(position, axes, action)))
        x, y, z = (
            min(max(value, low), high)
            for value, low, high in zip(
                wanted.position, self._limits.workspace_low_m, self._limits.workspace_high_m, strict=True
            )
        )
        return Pose((x, y, z), wanted.orientation)
