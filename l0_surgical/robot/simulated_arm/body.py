"""The arm's body in PyBullet: where the joints really are, given where they should be."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from l0_surgical.surgical.kinematics import SURROL_WORLD
from l0_surgical.surgical.needle_reach import NEEDLE_CENTRE, NEEDLE_HEIGHT
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks.quiet import silenced

with silenced():  # pybullet prints on import
    import pybullet

    from l0_surgical.tasks.needle_reach.simulation import (
        FORCES,
        REFERENCE_GAIN,
        SOLVER_ITERATIONS,
        load_bodies,
    )

Mode = Literal["kinematic", "physical"]

_JOINTS = tuple(range(8))
_PHYSICS_S = 1 / 240
# one unit of the body's joints in PyBullet, whose lengths are five times life size
_SCALE = np.array((1, 1, SURROL_WORLD.scale, 1, 1, 1, 1, 1))


class Body:
    """Six joints and the two halves of the jaw above the tray; owns a PyBullet client, which `close` ends.

    Args:
        mode: "kinematic": the joints are at once where they should be, as in the dVRK's kinematic simulation.
            "physical": position motors bring them there, which takes off nine tenths of an error in 0.09 s;
            tray and needle resist.
        joints: positions (6,) at the beginning, rad and m.

    Raises:
        BadInputError: another mode.
    """

    def __init__(self, mode: Mode, joints: Sequence[float]) -> None:
        if mode not in get_args(Mode):
            raise BadInputError(f"the mode is {mode!r}; choose {' or '.join(get_args(Mode))}")
        self._is_physical = mode == "physical"
        self._client = pybullet.connect(pybullet.DIRECT)
        pybullet.setGravity(0, 0, -9.81, physicsClientId=self._client)
        pybullet.setPhysicsEngineParameter(
            _PHYSICS_S, numSolverIterations=SOLVER_ITERATIONS, physicsClientId=self._client
        )
        self._arm, _, _ = load_bodies(
            self._client, (*NEEDLE_CENTRE, NEEDLE_HEIGHT), math.pi / 2, pybullet.URDF_IGNORE_VISUAL_SHAPES
        )
        self._time_s = 0.0
        self._place(np.array((*joints, 0.0, 0.0)))

    def step(self, joints: Sequence[float], jaw_rad: float, seconds: float) -> None:
        """Lets `seconds` pass while the joints (6,) and the jaw should be at the given positions."""
        targets = np.array((*joints, -jaw_rad / 2, jaw_rad / 2))
        if not self._is_physical:
            if not np.array_equal(targets, self._placed):
                self._place(targets)
            return
        self._time_s += seconds
        while self._time_s >= _PHYSICS_S:
            self._time_s -= _PHYSICS_S
            pybullet.setJointMotorControlArray(
                self._arm,
                _JOINTS,
                pybullet.POSITION_CONTROL,
                targetPositions=(targets * _SCALE).tolist(),
                targetVelocities=(0.0,) * len(_JOINTS),
                forces=FORCES,
                positionGains=(REFERENCE_GAIN,) * len(_JOINTS),
                physicsClientId=self._client,
            )
            pybullet.stepSimulation(physicsClientId=self._client)

    def joints(self) -> tuple[np.ndarray, float]:
        """The joints' positions (6,), rad and m, and the jaw's (rad)."""
        if not self._is_physical:
            return self._placed[:6].copy(), float(self._placed[7] - self._placed[6])
        states = pybullet.getJointStates(self._arm, _JOINTS, physicsClientId=self._client)
        positions = np.array([state[0] for state in states]) / _SCALE
        return positions[:6], float(positions[7] - positions[6])

    def close(self) -> None:
        """Ends the physics client; harmless when it has ended already."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def _place(self, positions: np.ndarray) -> None:
        self._placed = positions
        for joint, value in zip(_JOINTS, (positions * _SCALE).tolist(), strict=True):
            pybullet.resetJointState(self._arm, joint, value, physicsClientId=self._client)
