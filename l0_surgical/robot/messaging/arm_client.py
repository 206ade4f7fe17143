"""The controller's side of a CRTK arm over any transport: `control.arm.Arm`."""

import threading
import time
from collections import deque

from l0_surgical.robot.control.arm import FIELDS, STREAMS, TEXTS, ArmInputs, Received
from l0_surgical.robot.control.records import Empty, OperatingState, PoseStamped, Record, StringStamped
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.transport import COMMAND, Publisher, Qos, Subscription, Transport
from l0_surgical.system.errors import BadInputError

_REMEMBERED_COMMANDS = 1024  # 2 s at 500 Hz; a command comes back within milliseconds
_NEW = Qos(100)  # volatile: what was said before this client came is of the past
_LOOK_EVERY_S = 0.02
_STATE_COMMANDS = Qos(10)  # two commands in a row must not replace each other


class CrtkArm:
    """One arm of a dVRK or its simulation; see `control.arm.Arm`. Used from one thread.

    It also listens to everything that an arm can be told: what this object has not sent there is a foreign
    command. Where the transport does not tell who sent a message, its own are known by their content: they
    come back in the order of their sending, each once.

    Without the package crtk_msgs (a ROS installation that lacks it) it enables, homes and disables by the
    dVRK's /system topics, which act on all arms of the system; the operating state is then inferred: ENABLED
    and homed while the stamps of measured_cp and setpoint_cp are not 0, else what this client has last asked
    for (ENABLED or DISABLED) and not homed, and unknown (None) until both have arrived.

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
        topics = (*STREAMS, "operating_state") if self._has_crtk_msgs else STREAMS
        self._sources = {topic: self._subscribe(topic) for topic in topics}
        self._texts = {topic: self._subscribe(topic, _NEW) for topic in TEXTS}
        self._asked_for = "DISABLED"
        # this one's own commands arrive here too: not every transport can leave them out
        self._commands = {
            name: self._subscribe(name, _NEW)
            for name, topic in crtk.SUBSCRIBED.items()
            if transport.supports(topic.record)
        }
        self._own: dict[str, deque[Record]] = {
            name: deque(maxlen=_REMEMBERED_COMMANDS) for name in ("servo_cp", "state_command")
        }
        self._servo_cp = self._publisher("servo_cp", PoseStamped, COMMAND)
        if self._has_crtk_msgs:
            self._state_commands = {"": self._publisher("state_command", StringStamped, _STATE_COMMANDS)}
        else:
            self._state_commands = {
                command: transport.publisher(topic, Empty, _STATE_COMMANDS)
                for command, topic in crtk.SYSTEM_TOPICS.items()
            }

    def poll(self) -> ArmInputs:
        """See `control.arm.Arm`. Each call returns a new object, so that a caller may keep an earlier one."""
        former = self._inputs
        news = {topic: subscription.take() for topic, subscription in (self._sources | self._texts).items()}
        newest = {FIELDS[topic]: (news[topic] or [former.newest(topic)])[-1] for topic in self._sources}
        writers = {topic: subscription.writers() for topic, subscription in self._sources.items()}
        inputs = ArmInputs(**newest, news=news, foreign_commands=self._foreign_commands(), writers=writers)
        if not self._has_crtk_msgs:
            inputs.operating_state = _inferred_state(inputs, self._asked_for)
        self._inputs = inputs
        return inputs

    def servo_cp(self, pose: PoseStamped) -> None:
        self._own["servo_cp"].append(pose)
        self._servo_cp.publish(pose)

    def state_command(self, command: str, stamp_ns: int) -> None:
        """See `control.arm.Arm`.

        Raises:
            BadInputError: there is no crtk_msgs, and the command is none that the /system topics know.
        """
        if self._has_crtk_msgs:
            record = StringStamped(stamp_ns, "", command)
            self._own["state_command"].append(record)
            self._state_commands[""].publish(record)
        elif command in self._state_commands:
            self._state_commands[command].publish(Empty())
            self._asked_for = "DISABLED" if command == "disable" else "ENABLED"
        else:
            known = ", ".join(crtk.SYSTEM_TOPICS)
            raise BadInputError(
                f"{command!r} cannot be sent without the ROS 2 package crtk_msgs, only {known}; install "
                "crtk_msgs"
            )

    def peers(self) -> dict[str, int]:
        """How many others are on each topic that this client needs, by the topic's full name."""
        counts = {endpoint.topic: endpoint.peers() for endpoint in self._endpoints()}
        # one of the subscriptions that match a command's publisher is this client's own
        own = {subscription.topic for subscription in self._commands.values()}
        return {topic: max(0, count - (topic in own)) for topic, count in counts.items()}

    def describe_peers(self) -> str:
        """One line that says which of the topics have found their peer and which have not, and why where the
        two do not fit together."""
        counts = self.peers()
        found = [topic for topic, count in counts.items() if count]
        refusals = {
            endpoint.topic: endpoint.refusal() for endpoint in self._endpoints() if not counts[endpoint.topic]
        }
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
        """Waits until every topic that this client needs has found its peer; False if the time is up, or
        `stop` is set, before."""
        stop, deadline = stop or threading.Event(), time.monotonic() + timeout_s
        while not all(self.peers().values()):
            if time.monotonic() > deadline or stop.wait(_LOOK_EVERY_S):
                return False
        return True

    def _endpoints(self) -> list[Publisher | Subscription]:
        return [
            *self._sources.values(),
            *self._texts.values(),
            self._servo_cp,
            *self._state_commands.values(),
        ]

    def _foreign_commands(self) -> list[str]:
        return [
            subscription.topic
            for name, subscription in self._commands.items()
            if self._is_foreign(name, subscription.take())
        ]

    def _is_foreign(self, name: str, commands: list[Received]) -> bool:
        is_own = [self._is_own(name, received) for received in commands]  # each one counts
        return not all(is_own)

    def _is_own(self, name: str, received: Received) -> bool:
        own = {"servo_cp": self._servo_cp, "state_command": self._state_commands.get("")}.get(name)
        if own is None:
            return False
        if received.writer is not None:
            return received.writer == own.writer
        return _take_own(self._own[name], received.record)

    def _subscribe(self, name: str, qos: Qos | None = None) -> Subscription:
        topic = (crtk.PUBLISHED | crtk.SUBSCRIBED)[name]
        return self._transport.subscription(crtk.topic_name(self.name, name), topic.record, qos or topic.qos)

    def _publisher(self, name: str, record_type: type[Record], qos: Qos) -> Publisher:
        return self._transport.publisher(crtk.topic_name(self.name, name), record_type, qos)


def _take_own(own: deque[Record], record: Record) -> bool:
    """Whether a command that was heard is one of those that were sent; it and those before it, which were
    lost, will not be again."""
    if record not in own:
        return False
    while own.popleft() != record:
        pass
    return True


def _inferred_state(inputs: ArmInputs, asked_for: str) -> Received[OperatingState] | None:
    measured, setpoint = inputs.measured_cp, inputs.setpoint_cp
    if measured is None or setpoint is None:
        return None
    is_valid = measured.record.stamp_ns != 0 and setpoint.record.stamp_ns != 0
    newer = max(measured, setpoint, key=lambda received: received.received_ns)
    state = OperatingState(
        newer.record.stamp_ns, "", "ENABLED" if is_valid else asked_for, is_homed=is_valid, is_busy=False
    )
    return Received(state, newer.received_ns)
