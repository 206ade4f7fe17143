"""What an arm says of itself at every sample: joints, poses, velocity, force and jacobians, as messages."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

import numpy as np

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import (
    Float64MultiArray,
    JointState,
    PoseStamped,
    Record,
    TwistStamped,
    Vector,
    WrenchStamped,
)
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.transport import TELEMETRY
from l0_surgical.robot.simulated_arm import tool
from l0_surgical.robot.simulated_arm.arm import PsmArm
from l0_surgical.surgical.kinematics import JOINT_NAMES, jacobian

TOPICS = tuple(name for name, topic in crtk.PUBLISHED.items() if topic.qos == TELEMETRY)
_OF_MOTION = {"measured_cv", "local/measured_cv", "body/jacobian", "spatial/jacobian"}
_NOTHING: Vector = (0.0, 0.0, 0.0)


class Telemetry:
    """Makes the messages of one arm; velocities are differences between samples.

    What is not valid has the stamp 0, as at the dVRK: the tool's pose until an instrument is engaged (before
    that measured_js has the four discs in place of roll, wrist and jaw), everything while the arm has no
    power; but setpoint_js then stands still with new stamps, and the jaw's topics with the last one.
    set_base_frame names the frame of poses only.

    Args:
        arm: whose.
        own_frame: the name of its own base, in which the local/ topics are.
    """

    def __init__(self, arm: PsmArm, own_frame: str) -> None:
        self._arm = arm
        self._own_frame = own_frame
        self._former = arm.control.measured
        self._measured_js = self._setpoint_js = self._jaw_measured_js = self._jaw_setpoint_js = JointState(
            0, "", (), ()
        )
        self._measured, self._setpoint = np.eye(4), np.eye(4)

    def sample(
        self, wanted: Collection[str], frame: str, now_ns: int, seconds: float
    ) -> list[tuple[str, Record]]:
        """The messages of the topics (`TOPICS`) that are `wanted`.

        Args:
            frame: of the Cartesian data.
            now_ns: the stamp of what is valid.
            seconds: since the last sample, above 0.
        """
        control, machine, own = self._arm.control, self._arm.machine, self._own_frame
        joint_ns, stamp_ns = (
            now_ns if is_ready else 0 for is_ready in (machine.is_joint_ready, machine.is_cartesian_ready)
        )
        speeds, self._former = (control.measured - self._former) / seconds, control.measured
        names = JOINT_NAMES if machine.is_tool_engaged else tool.JOINTS_WITHOUT_TOOL
        count, base = len(names), control.base_frame
        if joint_ns:
            self._measured_js = _joints(joint_ns, names, control.measured[:count], speeds[:count])
            self._setpoint_js = _joints(joint_ns, names, control.setpoint[:count], control.velocity[:count])
        else:
            # no longer valid: zeros of what there was; the setpoint keeps what it was and has a stamp, once
            # it had one
            zeros = (0.0,) * len(self._measured_js.name)
            self._measured_js = dataclasses.replace(
                self._measured_js, stamp_ns=0, position=zeros, velocity=zeros
            )
            self._setpoint_js = dataclasses.replace(
                self._setpoint_js, stamp_ns=now_ns if self._setpoint_js.stamp_ns else 0
            )
        if stamp_ns:
            self._jaw_measured_js = _joints(stamp_ns, ("jaw",), control.measured[6:], speeds[6:])
            self._jaw_setpoint_js = _joints(stamp_ns, ("jaw",), control.setpoint[6:], ())
            self._measured, self._setpoint = self._arm.measured_pose(), self._arm.setpoint_pose()
        measured, setpoint = self._measured, self._setpoint
        makers: dict[str, Callable[[], Record]] = {
            "measured_js": lambda: self._measured_js,
            "setpoint_js": lambda: self._setpoint_js,
            "jaw/measured_js": lambda: self._jaw_measured_js,
            "jaw/setpoint_js": lambda: self._jaw_setpoint_js,
            # no gravity compensation is loaded
            "gravity_compensation/setpoint_js": lambda: JointState(
                joint_ns,
                "",
                JOINT_NAMES if machine.is_tool_engaged else (),
                (),
                (),
                (0.0,) * len(JOINT_NAMES),
            ),
            "measured_cp": lambda: _pose(stamp_ns, frame, base @ measured),
            "setpoint_cp": lambda: _pose(stamp_ns, frame, base @ setpoint),
            "local/measured_cp": lambda: _pose(stamp_ns, own, measured),
            "local/setpoint_cp": lambda: _pose(stamp_ns, own, setpoint),
            # nothing pushes at the arm
            "body/measured_cf": lambda: WrenchStamped(stamp_ns, "", _NOTHING, _NOTHING),
            "spatial/measured_cf": lambda: WrenchStamped(stamp_ns, "", _NOTHING, _NOTHING),
        }
        if not _OF_MOTION.isdisjoint(wanted):
            geometric = jacobian(control.measured[:6])
            motion = geometric @ speeds[:6] * bool(stamp_ns)
            makers |= {
                "measured_cv": lambda: _twist(stamp_ns, own, _turned(base[:3, :3], motion)),
                "local/measured_cv": lambda: _twist(stamp_ns, own, motion),
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


def _joints(
    stamp_ns: int, names: tuple[str, ...], values: Sequence[float], speeds: Sequence[float]
) -> JointState:
    return JointState(
        stamp_ns, "", names, tuple(map(float, values)), tuple(map(float, speeds)), (0.0,) * len(names)
    )


def _pose(stamp_ns: int, frame: str, matrix: np.ndarray) -> PoseStamped:
    pose = Pose.from_matrix(matrix)
    return PoseStamped(stamp_ns, frame, pose.position, pose.orientation)


def _twist(stamp_ns: int, frame: str, motion: np.ndarray) -> TwistStamped:
    return TwistStamped(stamp_ns, frame, tuple(motion[:3].tolist()), tuple(motion[3:].tolist()))


def _matrix(values: np.ndarray) -> Float64MultiArray:
    return Float64MultiArray(tuple(values.ravel().tolist()), values.shape)
