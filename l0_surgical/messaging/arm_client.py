"""The controller's side of a CRTK arm over any transport: `control.arm.Arm`."""

import threading
import time
from typing import Any

from l0_surgical.control.arm import ArmInputs, Received
from l0_surgical.control.records import Empty, OperatingState, PoseStamped, Record, StringStamped
from l0_surgical.errors import BadInputError
from l0_surgical.messaging import crtk
from l0_surgical.messaging.transport import COMMAND, Publisher, Qos, Subscription, Transport

_REMEMBERED_COMMANDS = 1024  # 2 s at 500 Hz; a command comes back within milliseconds
_NEW_TEXTS = Qos(100)  # volatile: what the arm said before this client came is of the past
_LOOK_EVERY_S = 0.02
_STATE_COMMANDS = Qos(10)  # two commands in a row must not replace each other


class CrtkArm:
    """One arm of a dVRK or its simulation; see `control.arm.Arm`. Used from one thread.

    It also listens to the topics that move the arm: a command there that this object has not sent is a foreign one.

    Without the package crtk_msgs (a ROS installation that lacks it) it enables, homes and disables by the dVRK's /system topics,
    which act on all arms of the system; the operating state is then inferred: ENABLED and homed while the stamps of measured_cp and
    setpoint_cp are not 0, else what this client has last asked for (ENABLED or DISABLED) and not homed, and unknown (None) until both
    have arrived.

    Args:
        transport: to the arm; whoever opened it closes it.
        name: the arm's ROS namespace.

    Raises:
        BadInputError: the name cannot be one of ROS.
    """

    def __init__(self, transport: Transport, name: str = "PSM1") -> None:
        crtk.check_arm_name(name)
        self.name = name
        self._transport = transport
        self._inputs = ArmInputs()
        self._has_crtk_msgs = transport.supports(OperatingState) and transport.supports(StringStamped)
        self._measured_cp = self._subscribe("measured_cp")
        self._newest = {
            "setpoint_cp": self._subscribe("setpoint_cp"),
            "measured_js": self._subscribe("measured_js"),
            "jaw": self._subscribe("jaw/measured_js"),
        }
        if self._has_crtk_msgs:
            self._newest["operating_state"] = self._subscribe("operating_state")
        self._asked_for = "DISABLED"
        self._errors = self._subscribe("error", _NEW_TEXTS)
        # this one's own commands arrive here too: not every transport can leave them out
        self._commands = {name: self._subscribe(name, Qos(100)) for name in crtk.MOTION_COMMANDS}
        self._servo_cp = self._publisher("servo_cp", PoseStamped, COMMAND)
        self._sent: dict[tuple[Any, ...], None] = {}
        if self._has_crtk_msgs:
            self._state_commands = {"": self._publisher("state_command", StringStamped, _STATE_COMMANDS)}
        else:
            self._state_commands = {
                command: transport.publisher(topic, Empty, _STATE_COMMANDS) for command, topic in crtk.SYSTEM_TOPICS.items()
            }

    def poll(self) -> ArmInputs:
        """See `control.arm.Arm`. Each call returns a new object, so that a caller may keep an earlier one."""
        former = self._inputs
        poses = self._measured_cp.take()
        newest = {field: (subscription.take() or [getattr(former, field)])[-1] for field, subscription in self._newest.items()}
        inputs = ArmInputs(
            measured_cp=poses[-1] if poses else former.measured_cp,
            measured_poses=poses,
            foreign_commands=self._foreign_commands(),
            errors=[received.record.data for received in self._errors.take()],
            **newest,
        )
        if not self._has_crtk_msgs:
            inputs.operating_state = _inferred_state(inputs, self._asked_for)
        self._inputs = inputs
        return inputs

    def servo_cp(self, pose: PoseStamped) -> None:
        self._sent[_identity(pose)] = None
        if len(self._sent) > _REMEMBERED_COMMANDS:
            del self._sent[next(iter(self._sent))]
        self._servo_cp.publish(pose)

    def state_command(self, command: str, stamp_ns: int) -> None:
        """See `control.arm.Arm`.

        Raises:
            BadInputError: there is no crtk_msgs, and the command is none that the /system topics know.
        """
        if self._has_crtk_msgs:
            self._state_commands[""].publish(StringStamped(stamp_ns, "", command))
        elif command in self._state_commands:
            self._state_commands[command].publish(Empty())
            self._asked_for = "DISABLED" if command == "disable" else "ENABLED"
        else:
            known = ", ".join(crtk.SYSTEM_TOPICS)
            raise BadInputError(f"{command!r} cannot be sent without the ROS 2 package crtk_msgs, only {known}; install crtk_msgs")

    def peers(self) -> dict[str, int]:
        """How many others are on each topic that this client needs, by the topic's full name."""
        counts = {endpoint.topic: endpoint.peers() for endpoint in self._endpoints()}
        # one of the matched subscriptions is this client's own
        counts[self._servo_cp.topic] = max(0, counts[self._servo_cp.topic] - 1)
        return counts

    def describe_peers(self) -> str:
        """One line that says which of the topics have found their peer and which have not, and why where the two do not fit together."""
        counts = self.peers()
        found = [topic for topic, count in counts.items() if count]
        refusals = {endpoint.topic: endpoint.refusal() for endpoint in self._endpoints() if not counts[endpoint.topic]}
        refused = [f"{topic} ({reason})" for topic, reason in refusals.items() if reason]
        missing = [topic for topic, reason in refusals.items() if not reason]
        parts = [f"{len(found)} of {len(counts)} topics have found their peer"]
        if found:
            parts.append(f"found: {' '.join(found)}")
        if refused:
            parts.append(f"met but not matched: {' '.join(refused)}")
        if missing:
            parts.append(f"nobody on: {' '.join(missing)}")
        return f"{self.name}: {'; '.join(parts)}"

    def wait_for_peers(self, timeout_s: float, stop: threading.Event | None = None) -> bool:
        """Waits until every topic that this client needs has found its peer; False if the time is up, or `stop` is set, before."""
        stop, deadline = stop or threading.Event(), time.monotonic() + timeout_s
        while not all(self.peers().values()):
            if time.monotonic() > deadline or stop.wait(_LOOK_EVERY_S):
                return False
        return True

    def _endpoints(self) -> list[Publisher | Subscription]:
        subscriptions = [self._measured_cp, *self._newest.values(), self._errors]
        return [*subscriptions, self._servo_cp, *self._state_commands.values()]

    def _foreign_commands(self) -> list[str]:
        return [subscription.topic for name, subscription in self._commands.items() if self._is_foreign(name, subscription.take())]

    def _is_foreign(self, name: str, commands: list[Received]) -> bool:
        if name != "servo_cp":
            return bool(commands)
        return any(_identity(received.record) not in self._sent for received in commands)

    def _subscribe(self, name: str, qos: Qos | None = None) -> Subscription:
        topic = (crtk.PUBLISHED | crtk.SUBSCRIBED)[name]
        return self._transport.subscription(crtk.topic_name(self.name, name), topic.record, qos or topic.qos)

    def _publisher(self, name: str, record_type: type[Record], qos: Qos) -> Publisher:
        return self._transport.publisher(crtk.topic_name(self.name, name), record_type, qos)


def _identity(pose: PoseStamped) -> tuple[Any, ...]:
    return pose.stamp_ns, pose.position, pose.orientation


def _inferred_state(inputs: ArmInputs, asked_for: str) -> Received[OperatingState] | None:
    measured, setpoint = inputs.measured_cp, inputs.setpoint_cp
    if measured is None or setpoint is None:
        return None
    is_valid = measured.record.stamp_ns != 0 and setpoint.record.stamp_ns != 0
    newer = max(measured, setpoint, key=lambda received: received.received_ns)
    state = OperatingState(newer.record.stamp_ns, "", "ENABLED" if is_valid else asked_for, is_homed=is_valid, is_busy=False)
    return Received(state, newer.received_ns)
