"""What an arm says of itself at every sample: joints, poses, velocity, force and jacobians, as messages."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from l0_surgical.control.kinematics import JOINT_NAMES, jacobian
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import Float64MultiArray, JointState, PoseStamped, Record, TwistStamped, Vector, WrenchStamped
from l0_surgical.messaging import crtk
from l0_surgical.messaging.transport import TELEMETRY
from l0_surgical.simulated_arm.arm import PsmArm

TOPICS = tuple(name for name, topic in crtk.PUBLISHED.items() if topic.qos == TELEMETRY)
_OF_MOTION = {"measured_cv", "local/measured_cv", "body/jacobian", "spatial/jacobian"}
_NOTHING: Vector = (0.0, 0.0, 0.0)


class Telemetry:
    """Makes the messages of one arm; velocities are differences between samples.

    Args:
        arm: whose.
        own_frame: the name of its own base, in which the local/ topics are.
    """

    def __init__(self, arm: PsmArm, own_frame: str) -> None:
        self._arm = arm
        self._own_frame = own_frame
        self._former_joints, self._former_jaw = arm.measured, arm.jaw_measured

    def sample(self, wanted: Collection[str], frame: str, stamp_ns: int, seconds: float) -> list[tuple[str, Record]]:
        """The messages of the topics (`TOPICS`) that are `wanted`.

        Args:
            frame: of the Cartesian data.
            stamp_ns: 0 where they are not valid yet.
            seconds: since the last sample, above 0.
        """
        arm = self._arm
        speeds, jaw_speed = (arm.measured - self._former_joints) / seconds, (arm.jaw_measured - self._former_jaw) / seconds
        self._former_joints, self._former_jaw = arm.measured, arm.jaw_measured
        measured, base, own = arm.measured_pose(), arm.base_frame, self._own_frame
        makers: dict[str, Callable[[], Record]] = {
            "measured_js": lambda: _joints(stamp_ns, JOINT_NAMES, arm.measured, speeds),
            "setpoint_js": lambda: _joints(stamp_ns, JOINT_NAMES, arm.setpoint),
            "jaw/measured_js": lambda: _joints(stamp_ns, ("jaw",), (arm.jaw_measured,), (jaw_speed,)),
            "jaw/setpoint_js": lambda: _joints(stamp_ns, ("jaw",), (arm.jaw_setpoint,)),
            # no gravity compensation is loaded
            "gravity_compensation/setpoint_js": lambda: JointState(stamp_ns, "", JOINT_NAMES, (), (), (0.0,) * len(JOINT_NAMES)),
            "measured_cp": lambda: _pose(stamp_ns, frame, base @ measured),
            "setpoint_cp": lambda: _pose(stamp_ns, frame, base @ arm.setpoint_pose()),
            "local/measured_cp": lambda: _pose(stamp_ns, own, measured),
            "local/setpoint_cp": lambda: _pose(stamp_ns, own, arm.setpoint_pose()),
            # nothing pushes at the arm
            "body/measured_cf": lambda: WrenchStamped(stamp_ns, frame, _NOTHING, _NOTHING),
            "spatial/measured_cf": lambda: WrenchStamped(stamp_ns, frame, _NOTHING, _NOTHING),
        }
        if not _OF_MOTION.isdisjoint(wanted):
            geometric = jacobian(arm.measured)
            makers |= {
                "measured_cv": lambda: _twist(stamp_ns, frame, _turned(base[:3, :3], geometric @ speeds)),
                "local/measured_cv": lambda: _twist(stamp_ns, own, geometric @ speeds),
                "body/jacobian": lambda: _matrix(_turned(measured[:3, :3].T, geometric)),
                "spatial/jacobian": lambda: _matrix(_spatial(geometric, measured[:3, 3])),
            }
        return [(topic, makers[topic]()) for topic in wanted]


def _turned(rotation: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A twist (6,) or jacobian (6, n), linear above angular, in another frame's axes."""
    return np.concatenate((rotation @ motion[:3], rotation @ motion[3:]))


def _spatial(geometric: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The jacobian (6, n) of the point that moves with the tool and passes the base's origin."""
    return np.concatenate((geometric[:3] + np.cross(position, geometric[3:].T).T, geometric[3:]))


def _joints(stamp_ns: int, names: tuple[str, ...], values: Sequence[float], speeds: Sequence[float] = ()) -> JointState:
    return JointState(stamp_ns, "", names, tuple(map(float, values)), tuple(map(float, speeds)))


def _pose(stamp_ns: int, frame: str, matrix: np.ndarray) -> PoseStamped:
    pose = Pose.from_matrix(matrix)
    return PoseStamped(stamp_ns, frame, pose.position, pose.orientation)


def _twist(stamp_ns: int, frame: str, motion: np.ndarray) -> TwistStamped:
    return TwistStamped(stamp_ns, frame, tuple(motion[:3].tolist()), tuple(motion[3:].tolist()))


def _matrix(values: np.ndarray) -> Float64MultiArray:
    return Float64MultiArray(tuple(values.ravel().tolist()), values.shape)
