"""A surgical task as a record: what the simulated arm, the real one and the safety checks need to know of it.

Lengths are in the task's world (`ArmPlace.world`, scaled metres), angles in rad; the eef is the frame of
`kinematics`. A policy sees through `observe` and moves through `command`, in training and at a real arm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from l0_surgical.policy import Field
from l0_surgical.surgical.kinematics import Axes, ScaledWorld, Vector


class Instrument(NamedTuple):
    """Where an instrument is, or is to be: the eef's position (scaled m) and three axes, and the jaw's angle
    (rad, 0 is closed)."""

    position: Vector
    axes: Axes
    jaw_rad: float


class Scene(NamedTuple):
    """What a task's rules see at a step: the instruments, one an arm."""

    instruments: tuple[Instrument, ...]


@dataclass(frozen=True)
class ArmPlace:
    """Where one arm stands in a task's world, and what its instrument may do there.

    Attributes:
        world: the task's world as the arm's base lies in it.
        start: the instrument when an episode begins.
        workspace_low, workspace_high: the corners of the box (scaled m) in which commands keep the eef.
        jaw_low_rad, jaw_high_rad: between which commands keep the jaw; equal where it is held still.
    """

    world: ScaledWorld
    start: Instrument
    workspace_low: Vector
    workspace_high: Vector
    jaw_low_rad: float
    jaw_high_rad: float


@dataclass(frozen=True)
class GoalDistribution:
    """Where a task's goals are drawn.

    Attributes:
        low, high: the corners of the box (scaled m) that holds every goal.
        draw: a goal (3,), scaled m, from a generator.
    """

    low: Vector
    high: Vector
    draw: Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class ArmTask:
    """A task of one arm or two, whose goals are points.

    Attributes:
        name: by which policies and commands name it.
        title: what people, and SurRoL, call it.
        inputs: the fields of the policy's input: those of `observe`, then the desired goal.
        outputs: the fields of its action.
        step_s: how long an action takes at the policy's own speed (s).
        episode_steps: actions of an episode.
        arms: each arm's place, in the order of a scene's instruments.
        observe: what the policy sees of a scene: the inputs without the goal, (observation,).
        achieved: the point (scaled m) of a scene that is to come to the goal.
        command: where an action (actions,) sends the instruments of a scene, poses and jaws. The action is
            finite: the caller refuses what is not.
        goals: the distribution of the goals.
        reached: whether achieved points (..., 3) are at their goals (..., 3), scaled m, as (...); a bool for
            one that is a tuple.
    """

    name: str
    title: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    step_s: float
    episode_steps: int
    arms: tuple[ArmPlace, ...]
    observe: Callable[[Scene], np.ndarray]
    achieved: Callable[[Scene], Vector]
    command: Callable[[Scene, Sequence[float] | np.ndarray], tuple[Instrument, ...]]
    goals: GoalDistribution
    reached: Callable[[Any, Any], Any]

    @property
    def arm(self) -> ArmPlace:
        """The place of the only arm of a task of one."""
        (arm,) = self.arms
        return arm

    def draw_goal_m(self, generator: np.random.Generator) -> Vector:
        """A goal of a task of one arm, drawn from the distribution, in the arm's base frame (m)."""
        x, y, z = self.goals.draw(generator).tolist()
        return self.arm.world.point_in_rcm((x, y, z))
