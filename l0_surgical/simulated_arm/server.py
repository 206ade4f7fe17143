"""The simulated arm on a transport: takes every command topic of the dVRK's arm, publishes every other."""

import math
import threading
from collections.abc import Callable

from l0_surgical.control.clock import Clock, SystemClock
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import (
    Bool,
    CartesianState,
    Empty,
    Float64,
    Joy,
    OperatingState,
    PoseStamped,
    Record,
    String,
    StringStamped,
)
from l0_surgical.control.servo_loop import ServoLoop
from l0_surgical.errors import BadInputError
from l0_surgical.messaging import crtk
from l0_surgical.messaging.transport import COMMAND, Publisher, Qos, Subscription, Transport
from l0_surgical.simulated_arm import telemetry
from l0_surgical.simulated_arm.arm import PsmArm
from l0_surgical.simulated_arm.body import Mode
from l0_surgical.simulated_arm.faults import FAULTS, PEOPLE, Distortion, People

INJECT = "simulation/inject"
TOOL = "LARGE_NEEDLE_DRIVER:420006"
HEARTBEAT_S = 0.5
# telemetry that nobody listens to costs more than all else; volatile as it is, nobody can tell
PEERS_EVERY_S = 0.1
LOOP_RATE_HZ = 400.0
# time beyond it is lost: physics that tried to make up for it would need ever longer and hear nothing meanwhile
LONGEST_TICK_S = 0.1
_NOT_SIMULATED = (
    *("servo_jf", "jaw/servo_jf", "body/servo_cf", "spatial/servo_cf", "servo_ci"),
    *("use_gravity_compensation", "emulate_tool_present", "emulate_adapter_present", "set_tool_type", "body/set_cf_orientation_absolute"),
)
# every command in the order of its sending, not only the newest as the dVRK would take it
_STATE_COMMANDS = Qos(100)


class SimulatedArm:
    """One PSM with its CRTK topics; DISABLED and not homed at first. `run` it in one thread, or `step` it.

    Args:
        transport: whoever opened it closes it.
        name: the arm's ROS namespace.
        mode: "kinematic" or "physical", see `body.Body`.
        telemetry_rate: measured and setpoint topics per second.
        inject: listen to /NAME/simulation/inject (std_msgs/String) for the faults of `faults.FAULTS`.
        clock: the system's where None.

    Raises:
        BadInputError: another mode, a rate outside 1 to 400 Hz, or a name that no arm can have.
    """

    def __init__(
        self,
        transport: Transport,
        name: str = "PSM1",
        mode: Mode = "kinematic",
        *,
        telemetry_rate: float = 100.0,
        inject: bool = False,
        clock: Clock | None = None,
    ) -> None:
        crtk.check_arm_name(name)
        if not 1 <= telemetry_rate <= LOOP_RATE_HZ:
            raise BadInputError(f"the telemetry rate is {telemetry_rate:g} Hz; choose 1 to {LOOP_RATE_HZ:g} Hz")
        self.name = name
        self.arm = PsmArm(mode)
        self._clock = clock or SystemClock()
        self._frame = f"{name}_base"
        self._telemetry_s = 1 / telemetry_rate
        self._distortion = Distortion()
        self._people = People(self.arm)
        self._since_telemetry_s = self._since_sample_s = self._since_heartbeat_s = self._since_peers_s = math.inf
        self._said_state: tuple[str, bool, bool] | None = None
        self._state_stamp_ns = 0
        self._telemetry = telemetry.Telemetry(self.arm, self._frame)
        self._heard: tuple[str, ...] = ()
        self._publishers: dict[str, Publisher] = {}
        self._subscriptions: list[tuple[Subscription, Callable[[Record], None]]] = []
        self._open(transport, inject)
        self._say("tool_type", String(TOOL))
        self._say_ratios(*self.arm.ratios)

    def run(self, stop: threading.Event, speed: float = 1.0) -> None:
        """Lets the arm live until `stop` is set.

        Args:
            stop: may be set by any thread.
            speed: simulated seconds per second; 0 is as fast as possible. Stamps are those of the wall clock at any speed.

        Raises:
            BadInputError: the speed is negative or not finite.
        """
        if not 0 <= speed < math.inf:
            raise BadInputError(f"the speed is {speed:g}; give 1 for real time, more for faster, 0 for as fast as possible")
        if speed == 0:
            while not stop.is_set():
                self.step(1 / LOOP_RATE_HZ)
            return
        former_ns = self._clock.now().monotonic_ns

        def tick() -> None:
            nonlocal former_ns
            now_ns = self._clock.now().monotonic_ns
            self.step(speed * min(1e-9 * (now_ns - former_ns), LONGEST_TICK_S))
            former_ns = now_ns

        ServoLoop(tick, LOOP_RATE_HZ, self._clock).run(stop)

    def step(self, seconds: float) -> None:
        """Takes the commands that have come, lets `seconds` of the arm's time pass, and publishes what is due."""
        for subscription, obey in self._subscriptions:
            for received in subscription.take():
                obey(received.record)
        self._publish_state()
        self._people.step(seconds)
        self.arm.step(seconds)
        self._publish_events()
        self._publish_state()
        self._since_telemetry_s += seconds
        self._since_sample_s += seconds
        self._since_heartbeat_s += seconds
        self._since_peers_s += seconds
        if self._since_telemetry_s >= self._telemetry_s * (1 - 1e-9):
            # what this one comes late does not delay the next
            self._since_telemetry_s = min(self._since_telemetry_s - self._telemetry_s, self._telemetry_s)
            self._publish_telemetry()
        if self._since_heartbeat_s >= HEARTBEAT_S:
            self._publish_state(is_due=True)

    def inject(self, fault: str) -> None:
        """Begins one of `faults.FAULTS`; an unknown one is answered by a warning."""
        if fault not in FAULTS:
            self.arm.say("warning", f"unknown fault {fault!r}; known are {', '.join(FAULTS)}")
        elif fault == "fault":
            self.arm.fail("fault injected")
        elif fault in ("pause", "unhome"):
            self._obey_state(StringStamped(0, "", fault))
        elif fault in PEOPLE:
            self._people.obey(fault)
        else:
            self._distortion.start(fault)
            if fault == "clear":
                self._people.obey(fault)

    def peers(self) -> dict[str, int]:
        """How many others are on each of the arm's topics, by the topic's full name."""
        endpoints = [*self._publishers.values(), *(subscription for subscription, _ in self._subscriptions)]
        return {endpoint.topic: endpoint.peers() for endpoint in endpoints}

    def describe_peers(self) -> str:
        """One line that says which topics have found their peer."""
        counts = self.peers()
        found = [topic for topic, count in counts.items() if count]
        return f"{self.name}: {len(found)} of {len(counts)} topics have found their peer{': ' if found else ''}{' '.join(found)}"

    def close(self) -> None:
        """Ends the physics."""
        self.arm.close()

    def _open(self, transport: Transport, inject: bool) -> None:
        for topic, known in crtk.PUBLISHED.items():
            if transport.supports(known.record):
                self._publishers[topic] = transport.publisher(crtk.topic_name(self.name, topic), known.record, known.qos)
        for topic, obey in self._commands().items():
            known = crtk.SUBSCRIBED[topic]
            if transport.supports(known.record):
                qos = _STATE_COMMANDS if topic == "state_command" else known.qos
                subscription = transport.subscription(crtk.topic_name(self.name, topic), known.record, qos)
                self._subscriptions.append((subscription, obey))
        for command, topic in crtk.SYSTEM_TOPICS.items():
            subscription = transport.subscription(topic, Empty, _STATE_COMMANDS)
            self._subscriptions.append((subscription, lambda record, command=command: self._obey_state(StringStamped(0, "", command))))
        if inject:
            subscription = transport.subscription(crtk.topic_name(self.name, INJECT), String, COMMAND)
            self._subscriptions.append((subscription, lambda record: self.inject(record.data)))

    def _commands(self) -> dict[str, Callable[[Record], None]]:
        arm = self.arm
        commands: dict[str, Callable[[Record], None]] = {
            "state_command": self._obey_state,
            "servo_jp": lambda record: arm.servo_joints(record.position),
            "servo_jr": lambda record: arm.servo_joints(record.position, is_relative=True),
            "move_jp": lambda record: arm.move_joints(record.position),
            "move_jr": lambda record: arm.move_joints(record.position, is_relative=True),
            "servo_cp": lambda record: self._obey_pose(record, arm.servo_pose),
            "servo_cs": self._obey_cartesian_state,
            "move_cp": lambda record: self._obey_pose(record, arm.move_pose),
            "jaw/servo_jp": lambda record: arm.servo_jaw(*record.position[:1] or (math.nan,)),
            "jaw/move_jp": lambda record: arm.move_jaw(*record.position[:1] or (math.nan,)),
            "hold": lambda record: arm.hold(),
            "free": lambda record: arm.hold(),
            "set_base_frame": self._obey_base_frame,
            "trajectory_j/set_ratio": lambda record: self._obey_ratio(speed=record.data, acceleration=record.data),
            "trajectory_j/set_ratio_v": lambda record: self._obey_ratio(speed=record.data),
            "trajectory_j/set_ratio_a": lambda record: self._obey_ratio(acceleration=record.data),
        }
        for topic in _NOT_SIMULATED:
            commands[topic] = lambda record, topic=topic: arm.refuse(f"{topic} is not simulated")
        return commands

    def _obey_state(self, record: StringStamped) -> None:
        self.arm.state_command(record.string)
        # a client waits for an answer even to a command that changes nothing
        self._publish_state(is_due=True)

    def _obey_pose(self, record: PoseStamped | CartesianState, obey: Callable[[Pose], None]) -> None:
        if (pose := self._pose(record)) is not None:
            obey(pose)

    def _obey_base_frame(self, record: PoseStamped) -> None:
        if (pose := self._pose(record)) is not None:
            self.arm.base_frame = pose.matrix()
            self._frame = record.frame_id or f"{self.name}_base"

    def _obey_cartesian_state(self, record: CartesianState) -> None:
        """Only its pose: neither a velocity nor a force that is fed forward moves an arm which follows at once."""
        if record.pose_is_valid:
            self._obey_pose(record, self.arm.servo_pose)
        else:
            self.arm.refuse("servo_cs without a pose is not simulated")

    def _obey_ratio(self, *, speed: float | None = None, acceleration: float | None = None) -> None:
        if self.arm.set_ratios(speed, acceleration):
            self._say_ratios(*self.arm.ratios)

    def _say_ratios(self, speed: float, acceleration: float) -> None:
        # 0 where the two differ, as the dVRK
        self._say("trajectory_j/ratio", Float64(speed if speed == acceleration else 0.0))
        self._say("trajectory_j/ratio_v", Float64(speed))
        self._say("trajectory_j/ratio_a", Float64(acceleration))

    def _pose(self, record: PoseStamped | CartesianState) -> Pose | None:
        numbers = (*record.position, *record.orientation)
        if not all(map(math.isfinite, numbers)) or not any(record.orientation):
            self.arm.say("error", f"a pose is not finite or has no orientation: {numbers}")
            return None
        return Pose.of(record)

    def _publish_events(self) -> None:
        for topic, value in self.arm.take_events():
            if topic == "arm_clutch":
                self._say(topic, Joy(self._clock.now().wall_ns, "", (), (int(value),)))
            else:
                self._say(topic, Bool(value) if isinstance(value, bool) else String(value))

    def _publish_state(self, *, is_due: bool = False) -> None:
        machine = self.arm.machine
        state = (machine.state, machine.is_homed, self.arm.is_busy)
        if state == self._said_state and not is_due:
            return
        # strictly increasing: clients wait for a newer one
        self._state_stamp_ns = max(self._state_stamp_ns + 1, self._clock.now().wall_ns)
        self._said_state, self._since_heartbeat_s = state, 0.0
        self._say("operating_state", OperatingState(self._state_stamp_ns, "", *state))

    def _publish_telemetry(self) -> None:
        now_ns = self._clock.now().wall_ns
        if self._since_peers_s >= PEERS_EVERY_S:
            self._heard = tuple(topic for topic in telemetry.TOPICS if topic in self._publishers and self._publishers[topic].peers())
            self._since_peers_s = 0.0
        stamp_ns = now_ns if self.arm.machine.is_homed else 0
        for topic, record in self._telemetry.sample(self._heard, self._frame, stamp_ns, self._since_sample_s):
            said = self._distortion.apply(record) if topic == "measured_cp" else record
            if said is not None:
                self._publishers[topic].publish(said)
        self._since_sample_s = 0.0

    def _say(self, topic: str, record: Record) -> None:
        if topic in self._publishers:
            self._publishers[topic].publish(record)
