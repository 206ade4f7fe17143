"""The physics of NeedleReach: the arm, the tray and the needle in a PyBullet world of its own.

One call of `advance` is one policy step of 0.2 s. The reference (SurRoL) makes 48 physics steps of 1/240 s of
it, in each of which a position motor takes a tenth off its joint's error. As long as nothing touches the arm
that is all that happens, so n physics steps with the gain 1 - 0.9 ** (48 / n) arrive at the same joint
positions: 4 where nothing can touch (the needle sleeps meanwhile), 24 near the tray.
"""

import contextlib
import locale
from collections.abc import Iterator, Sequence
from pathlib import Path

import pybullet

from l0_surgical.surgical.kinematics import SURROL_WORLD
from l0_surgical.surgical.needle_reach import NEEDLE_REACH

FOLDER = Path(__file__).parent
JOINTS = tuple(range(8))
REFERENCE_STEPS, REFERENCE_GAIN = 48, 0.1
COARSE_STEPS, FINE_STEPS = 4, 24
SOLVER_ITERATIONS = 20
FORCES = (1e5,) * 6 + (2.0,) * 2
CONTACT_CEILING = 3.418
SETTLING_STEPS = 2
TRAY_POSITION = (2.75, 0.0, 3.3755)


class Simulation:
    """The arm above the tray; owns a PyBullet client, which `close` ends.

    Joint positions are in rad and real metres, poses in scaled metres.
    """

    def __init__(self, start: Sequence[float], jaw_rad: float) -> None:
        """Starts a physics client; `start` (6,) and `jaw_rad` are the arm's joints and the jaw's angle after
        every `reset`."""
        self._start = motor_positions((*start, *_halves(jaw_rad)))
        self.client = pybullet.connect(pybullet.DIRECT)

    def reset(self, needle_position: Sequence[float], needle_yaw_rad: float) -> None:
        """Builds the world anew, with the needle (its circle's centre, scaled m) asleep on the tray.

        A saved state would be faster by a millisecond, but Bullet's contact caches and pair order survive its
        restoration, and an episode would depend on those before it.
        """
        pybullet.resetSimulation(physicsClientId=self.client)
        pybullet.setGravity(0, 0, -9.81, physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(numSolverIterations=SOLVER_ITERATIONS, physicsClientId=self.client)
        self.arm, _, self.needle = load_bodies(
            self.client, needle_position, needle_yaw_rad, pybullet.URDF_IGNORE_VISUAL_SHAPES
        )
        for joint, value in zip(JOINTS, self._start, strict=True):
            pybullet.resetJointState(self.arm, joint, value, physicsClientId=self.client)
        self._set_needle_activation(pybullet.ACTIVATION_STATE_ENABLE_SLEEPING)
        self._set_needle_activation(pybullet.ACTIVATION_STATE_SLEEP)
        self._targets = self._start
        self._steps = 0
        self._fine_left = 0

    def set_targets(self, joints: Sequence[float], jaw_rad: float) -> None:
        """Gives the motors new positions to hold: of the arm's joints (6,) and of the jaw."""
        self._targets = motor_positions((*joints, *_halves(jaw_rad)))

    def advance(self, lowest: float) -> None:
        """Simulates one policy step; `lowest` (scaled m) is the least height that the jaw tips may pass
        through on their way."""
        if lowest < CONTACT_CEILING:
            self._fine_left = 1 + SETTLING_STEPS
        elif self._fine_left == 1:
            self._set_needle_activation(pybullet.ACTIVATION_STATE_SLEEP)
        self._fine_left = max(0, self._fine_left - 1)
        steps = FINE_STEPS if self._fine_left else COARSE_STEPS
        if steps != self._steps:
            pybullet.setPhysicsEngineParameter(
                fixedTimeStep=NEEDLE_REACH.step_s, numSubSteps=steps, physicsClientId=self.client
            )
            self._steps = steps
        pybullet.setJointMotorControlArray(
            self.arm,
            JOINTS,
            pybullet.POSITION_CONTROL,
            targetPositions=self._targets,
            targetVelocities=(0.0,) * len(JOINTS),
            forces=FORCES,
            positionGains=(1 - (1 - REFERENCE_GAIN) ** (REFERENCE_STEPS / steps),) * len(JOINTS),
            physicsClientId=self.client,
        )
        pybullet.stepSimulation(physicsClientId=self.client)

    def joints(self) -> tuple[float, ...]:
        """Returns the positions of the eight joints: the arm's six (rad and real metres) and the two jaws'
        (rad)."""
        states = pybullet.getJointStates(self.arm, JOINTS, physicsClientId=self.client)
        yaw, pitch, insertion, *others = (state[0] for state in states)
        return yaw, pitch, insertion / SURROL_WORLD.scale, *others

    def needle_pose(self) -> tuple[Sequence[float], Sequence[float]]:
        """Returns the needle's position (its circle's centre, scaled m) and quaternion (xyzw)."""
        return pybullet.getBasePositionAndOrientation(self.needle, physicsClientId=self.client)

    def close(self) -> None:
        """Ends the physics client; harmless when it has ended already."""
        if self.client >= 0:
            pybullet.disconnect(physicsClientId=self.client)
            self.client = -1

    def _set_needle_activation(self, state: int) -> None:
        pybullet.changeDynamics(self.needle, -1, activationState=state, physicsClientId=self.client)


def load_bodies(
    client: int, needle_position: Sequence[float], needle_yaw_rad: float, flags: int = 0
) -> tuple[int, int, int]:
    """Loads the arm, the tray and the needle (at a position in scaled m) into a client and returns their body
    ids."""
    scale = SURROL_WORLD.scale
    arm_turn, needle_turn = (
        pybullet.getQuaternionFromEuler((0, 0, yaw)) for yaw in (SURROL_WORLD.rcm_yaw_rad, needle_yaw_rad)
    )
    flags |= pybullet.URDF_USE_INERTIA_FROM_FILE
    fixed = {"useFixedBase": True, "globalScaling": scale, "flags": flags, "physicsClientId": client}
    # Only a body in maximal coordinates (not a multibody) can be put to sleep.
    loose = fixed | {"useFixedBase": False, "useMaximalCoordinates": True}
    with _decimal_points():
        arm = pybullet.loadURDF(str(FOLDER / "psm.urdf"), SURROL_WORLD.rcm_position, arm_turn, **fixed)
        tray = pybullet.loadURDF(str(FOLDER / "tray.urdf"), TRAY_POSITION, **fixed)
        return (
            arm,
            tray,
            pybullet.loadURDF(str(FOLDER / "needle.urdf"), needle_position, needle_turn, **loose),
        )


@contextlib.contextmanager
def _decimal_points() -> Iterator[None]:
    """PyBullet reads files in the program's locale, which e.g. Qt sets to the user's: where that writes 0,5
    it takes 0.5 for 0."""
    if locale.localeconv()["decimal_point"] == ".":
        yield
        return
    former = locale.setlocale(locale.LC_NUMERIC)
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_NUMERIC, former)


def motor_positions(joints: Sequence[float]) -> tuple[float, ...]:
    """Returns PyBullet's eight joint positions, insertion in scaled metres, for the same in real metres."""
    yaw, pitch, insertion, *others = joints
    return yaw, pitch, insertion * SURROL_WORLD.scale, *others


def _halves(jaw_rad: float) -> tuple[float, float]:
    return -jaw_rad / 2, jaw_rad / 2
