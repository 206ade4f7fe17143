"""`l0_surgical/NeedleReach-v0`: a goal environment in which the instrument's tip must reach a point above a
needle.

The arm is the da Vinci Patient Side Manipulator in a world five times life size; the task is SurRoL's
NeedleReach (Xu et al. 2021). One step is 0.2 s (5 Hz), an episode is 50 steps and never terminates early.

| part | value | |---|---| | observation (7,) | wrist ("eef") position xyz (scaled m), Euler xyz (rad), jaw
angle (rad) | | achieved_goal (3,) | the jaw tip's position (scaled m) | | desired_goal (3,) | a point 5 mm
(real) above the needle's middle (scaled m) | | action (5,) in [-1, 1] | dx, dy, dz of at most 10 mm (real)
per axis and step; turning and opening the jaw, which this task ignores | | reward | 0 where the tip is less
than 5 mm (real) from the goal, else -1 |

A move that the inverse kinematics or a joint limit refuses is dropped: the arm holds its former target for
that step.
"""

import contextlib
import math
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle

from l0_surgical.surgical import Instrument, Scene
from l0_surgical.surgical.kinematics import UnreachablePoseError
from l0_surgical.surgical.needle_reach import NEEDLE_HEIGHT, NEEDLE_RADIUS, NEEDLE_REACH, draw_needle
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks.checks import finite_vector, known_render_mode
from l0_surgical.tasks.quiet import silenced

with silenced():  # gymnasium_robotics and pybullet print on import
    from gymnasium_robotics.core import GoalEnv

    from l0_surgical.tasks.needle_reach.picture import Picture
    from l0_surgical.tasks.needle_reach.simulation import Simulation

WORLD = NEEDLE_REACH.arm.world
WORLD_BOUND = 10.0
OBSERVATION_BOUND = np.array((WORLD_BOUND,) * 3 + (math.pi,) * 4)


class NeedleReachEnv(GoalEnv, EzPickle):
    """The environment of this module's docstring; an episode is a function of its seed (and goal) alone.

    `render_mode="rgb_array"` gives pictures (360, 480, 3) without a display.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / NEEDLE_REACH.step_s)}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, render_mode: str | None = None) -> None:
        """Raises BadInputError for an unknown render mode."""
        EzPickle.__init__(self, render_mode)
        self.render_mode = known_render_mode(render_mode)
        self.observation_space = spaces.Dict(
            {
                "observation": spaces.Box(-OBSERVATION_BOUND, OBSERVATION_BOUND, dtype=np.float64),
                "achieved_goal": spaces.Box(-WORLD_BOUND, WORLD_BOUND, (3,), np.float64),
                "desired_goal": spaces.Box(-WORLD_BOUND, WORLD_BOUND, (3,), np.float64),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (5,), np.float32)
        start = NEEDLE_REACH.arm.start
        self._simulation = Simulation(WORLD.joints_from_eef(start.position, start.axes), start.jaw_rad)
        self._picture: Picture | None = None
        self._goal: np.ndarray | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode; `options={"desired_goal": (3,)}` (scaled m) sets the goal, and the needle is put
        beneath it.

        Raises:
            BadInputError: the goal is not three finite numbers within the space's bounds.
        """
        super().reset(seed=seed, options=options)
        self._goal, yaw = draw_needle(self.np_random)
        if options is not None and options.get("desired_goal") is not None:
            self._goal = self._checked_goal(options["desired_goal"])
        centre = self._goal[:2] + NEEDLE_RADIUS * _direction(yaw)
        self._simulation.reset((*centre, NEEDLE_HEIGHT), yaw)
        self._read()
        return self._observe(), {"is_success": self._is_success()}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Moves the arm for 0.2 s; the action (5,) is clipped to [-1, 1] and never changed.

        Raises:
            BadInputError: the action is not five finite numbers, or `reset` was not called.
        """
        if self._goal is None:
            raise BadInputError("step was called before reset; call reset first")
        target = NEEDLE_REACH.command(self._scene, finite_vector(action, 5, "action"))
        (instrument,) = target
        with contextlib.suppress(UnreachablePoseError):
            joints = WORLD.joints_from_eef(instrument.position, instrument.axes)
            self._simulation.set_targets(joints, instrument.jaw_rad)
        self._simulation.advance(min(self._tip[2], NEEDLE_REACH.achieved(Scene(target))[2]))
        self._read()
        success = self._is_success()
        return self._observe(), float(success) - 1.0, False, False, {"is_success": success}

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Returns the reward, 0 or -1, of tips (..., 3) for goals (..., 3) in scaled metres, as (...); `info`
        plays no part."""
        return NEEDLE_REACH.reached(np.asarray(achieved_goal), desired_goal) - 1.0

    def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
        """Episodes never terminate: the tip has to stay at the goal."""
        return False

    def compute_truncated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
        """Truncation after 50 steps is the registered time limit's."""
        return False

    def render(self) -> np.ndarray | None:
        """Returns a picture (360, 480, 3), uint8, of the instrument, the tray, the needle and the goal; None
        without a render mode."""
        if self.render_mode is None or self._goal is None:
            return None
        self._picture = self._picture or Picture()
        return self._picture.draw(self._simulation.joints(), self._simulation.needle_pose(), self._goal)

    def close(self) -> None:
        """Ends the physics clients; harmless when they have ended already."""
        self._simulation.close()
        if self._picture is not None:
            self._picture.close()

    def _checked_goal(self, goal: Any) -> np.ndarray:
        goal = finite_vector(goal, 3, "desired_goal")
        if np.abs(goal).max() > WORLD_BOUND:
            raise BadInputError(
                f"desired_goal must lie within {WORLD_BOUND:g} scaled metres of the origin, got "
                f"{goal.tolist()}"
            )
        return goal

    def _read(self) -> None:
        *joints, jaw_1, jaw_2 = self._simulation.joints()
        position, axes = WORLD.eef_from_joints(joints)
        self._scene = Scene((Instrument(position, axes, jaw_2 - jaw_1),))
        self._tip = NEEDLE_REACH.achieved(self._scene)

    def _observe(self) -> dict[str, np.ndarray]:
        return {
            "observation": NEEDLE_REACH.observe(self._scene),
            "achieved_goal": np.array(self._tip),
            "desired_goal": self._goal.copy(),
        }

    def _is_success(self) -> bool:
        return NEEDLE_REACH.reached(self._tip, self._goal)


def _direction(yaw_rad: float) -> np.ndarray:
    return np.array((math.cos(yaw_rad), math.sin(yaw_rad)))
