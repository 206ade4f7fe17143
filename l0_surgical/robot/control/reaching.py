"""The policy's part of the way to one goal: an observation from the measured pose, an action, the pose that
it asks for."""

import math

import numpy as np

from l0_surgical.robot.control.goals import check_goal
from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.runtime import Engine
from l0_surgical.surgical import ArmTask, Instrument, Scene
from l0_surgical.surgical.kinematics import Vector

STEPS_TO_STAY = 3


class Reaching:
    """An episode of the task at the arm; the goal is reached once it was for three policy steps in a row.

    Args:
        task: whose episode it is.
        engine: computes the actions.
        goal_m: the jaw tip's goal (3,), metres, in the arm's base frame.
        limits: their workspace bounds what the policy asks for.

    Raises:
        BadInputError: the goal is refused by `goals.check_goal`.
    """

    def __init__(self, task: ArmTask, engine: Engine, goal_m: Vector, limits: Limits) -> None:
        self.goal_m = check_goal(goal_m, task, limits)
        self.steps = 0
        self.distance_mm: float | None = None
        self.is_reached = False
        self.observation: tuple[float, ...] = ()
        self.action: tuple[float, ...] = ()
        self._task = task
        self._engine = engine
        self._limits = limits
        self._goal = task.arm.world.point_from_rcm(self.goal_m)
        self._steps_near = 0

    @property
    def is_over(self) -> bool:
        return self.is_reached or self.steps >= self._task.episode_steps

    def step(self, measured: Pose, jaw_rad: float) -> Pose:
        """The pose that the policy asks for, in the arm's base frame, inside the workspace.

        Args:
            measured: where the tool is, in the arm's base frame.
            jaw_rad: the jaw's measured angle. The policy sees the nearest that the task knows, as it did in
                training: an offset is not its business.

        Raises:
            BadInputError: the policy has no finite action.
        """
        task, arm = self._task, self._task.arm
        position, axes = arm.world.eef_from_tool(measured.matrix())
        jaw_rad = min(arm.jaw_high_rad, max(arm.jaw_low_rad, jaw_rad))
        scene = Scene((Instrument(position, axes, jaw_rad),))
        achieved = task.achieved(scene)
        self.distance_mm = 1e3 * math.dist(achieved, self._goal) / arm.world.scale
        self._steps_near = self._steps_near + 1 if task.reached(achieved, self._goal) else 0
        self.is_reached = self._steps_near >= STEPS_TO_STAY
        observation = np.concatenate((task.observe(scene), self._goal))
        action = self._engine.act(observation)
        self.observation, self.action = tuple(observation.tolist()), tuple(action.tolist())
        self.steps += 1
        (target,) = task.command(scene, action)
        wanted = Pose.from_matrix(arm.world.tool_from_eef(target.position, target.axes))
        x, y, z = (
            min(max(value, low), high)
            for value, low, high in zip(
                wanted.position, self._limits.workspace_low_m, self._limits.workspace_high_m, strict=True
            )
        )
        return Pose((x, y, z), wanted.orientation)
