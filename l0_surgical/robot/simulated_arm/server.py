"""The simulated arm on a transport: takes every command topic of the dVRK's arm, publishes every other."""

import math
import threading
from collections.abc import Callable

import numpy as np

from l0_surgical.robot.control.clock import Clock, SystemClock
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import (
    Bool,
    CartesianState,
    Empty,
    Float64,
    Joy,
    OperatingState,
    PoseStamped,
    Record,
    String,
)
from l0_surgical.robot.control.servo_loop import ServoLoop
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.transport import COMMAND, Publisher, Qos, Subscription, Transport
from l0_surgical.robot.simulated_arm import telemetry
from l0_surgical.robot.simulated_arm.arm import PsmArm
from l0_surgical.robot.simulated_arm.body import Mode
from l0_surgical.robot.simulated_arm.faults import FAULTS, PEOPLE, Distortion, People
from l0_surgical.system.errors import BadInputError

INJECT = "simulation/inject"
# telemetry that nobody listens to costs more than all else; volatile as it is, nobody can tell
PEERS_EVERY_S = 0.1
LOOP_RATE_HZ = 400.0
# time beyond it is lost: physics that tried to make up for it would need ever longer and hear nothing
# meanwhile
LONGEST_TICK_S = 0.1
_NOT_SIMULATED = ("emulate_tool_present", "emulate_adapter_present")
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
            raise BadInputError(
                f"the telemetry rate is {telemetry_rate:g} Hz; choose 1 to {LOOP_RATE_HZ:g} Hz"
            )
        self.name = name
        self.arm = PsmArm(mode)
        self._clock = clock or SystemClock()
        self._frame = f"{name}_base"
        self._telemetry_s = 1 / telemetry_rate
        self._distortion = Distortion()
        self._people = People(self.arm)
        self._since_telemetry_s = self._since_sample_s = self._since_peers_s = math.inf
        self._state_stamp_ns = 0
        self._telemetry = telemetry.Telemetry(self.arm, self._frame)
        self._heard: tuple[str, ...] = ()
        self._publishers: dict[str, Publisher] = {}
        self._subscriptions: list[tuple[Subscription, Callable[[Record], None]]] = []
        self._open(transport, inject)
        self._say("desired_state", String("DISABLED"))
        self._say_state("DISABLED", False, False)
        self._say_ratios(*self.arm.control.ratios)

    def run(self, stop: threading.Event, speed: float = 1.0) -> None:
        """Lets the arm live until `stop` is set.

        Args:
            stop: may be set by any thread.
            speed: simulated seconds per second; 0 is as fast as possible. Stamps are those of the wall clock
                at any speed.

        Raises:
            BadInputError: the speed is negative or not finite.
        """
        if not 0 <= speed < math.inf:
            raise BadInputError(
                f"the speed is {speed:g}; give 1 for real time, more for faster, 0 for as fast as possible"
            )
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
        """Takes the commands that have come, lets `seconds` of the arm's time pass, and publishes what is
        due."""
        for subscription, obey in self._subscriptions:
            for received in subscription.take():
                obey(received.record)
        self._people.step(seconds)
        self.arm.step(seconds)
        self._publish_events()
        self._since_telemetry_s += seconds
        self._since_sample_s += seconds
        self._since_peers_s += seconds
        if self._since_telemetry_s >= self._telemetry_s * (1 - 1e-9):
            # what this one comes late does not delay the next
            self._since_telemetry_s = min(self._since_telemetry_s - self._telemetry_s, self._telemetry_s)
            self._publish_telemetry()

    def inject(self, fault: str) -> None:
        """Begins one of `faults.FAULTS`; an unknown one is answered by a warning."""
        if fault not in FAULTS:
            self.arm.say("warning", f"unknown fault {fault!r}; known are {', '.join(FAULTS)}")
        elif fault == "fault":
            self.arm.fail("fault injected")
        elif fault in ("pause", "unhome"):
            self.arm.state_command(fault)
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
        return (
            f"{self.name}: {len(found)} of {len(counts)} topics have found their "
            f"peer{': ' if found else ''}{' '.join(found)}"
        )

    def close(self) -> None:
        """Ends the physics."""
        self.arm.close()

    def _open(self, transport: Transport, inject: bool) -> None:
        for topic, known in crtk.PUBLISHED.items():
            if transport.supports(known.record):
                self._publishers[topic] = transport.publisher(
                    crtk.topic_name(self.name, topic), known.record, known.qos
                )
        for topic, obey in self._commands().items():
            known = crtk.SUBSCRIBED[topic]
            if transport.supports(known.record):
                qos = _STATE_COMMANDS if topic == "state_command" else known.qos
                subscription = transport.subscription(crtk.topic_name(self.name, topic), known.record, qos)
                self._subscriptions.append((subscription, obey))
        for command, topic in crtk.SYSTEM_TOPICS.items():
            subscription = transport.subscription(topic, Empty, _STATE_COMMANDS)
            self._subscriptions.append(
                (subscription, lambda record, command=command: self.arm.state_command(command))
            )
        if inject:
            subscription = transport.subscription(crtk.topic_name(self.name, INJECT), String, COMMAND)
            self._subscriptions.append((subscription, lambda record: self.inject(record.data)))

    def _commands(self) -> dict[str, Callable[[Record], None]]:
        arm = self.arm
        commands: dict[str, Callable[[Record], None]] = {
            "state_command": lambda record: arm.state_command(record.string),
            "servo_jp": lambda record: arm.servo_joints(record.position),
            "servo_jr": lambda record: arm.servo_joints(record.position, is_relative=True),
            "move_jp": lambda record: arm.move_joints(record.position),
            "move_jr": lambda record: arm.move_joints(record.position, is_relative=True),
            "servo_cp": lambda record: self._obey_pose(record, arm.servo_pose),
            "servo_cs": self._obey_cartesian_state,
            "move_cp": lambda record: self._obey_pose(record, arm.move_pose),
            "jaw/servo_jp": lambda record: arm.servo_jaw(record.position),
            "jaw/move_jp": lambda record: arm.move_jaw(record.position),
            "hold": lambda record: arm.hold(),
            "set_base_frame": self._obey_base_frame,
            "set_tool_type": lambda record: arm.set_tool(record.data),
            "trajectory_j/set_ratio": lambda record: self._obey_ratio(
                speed=record.data, acceleration=record.data
            ),
            "trajectory_j/set_ratio_v": lambda record: self._obey_ratio(speed=record.data),
            "trajectory_j/set_ratio_a": lambda record: self._obey_ratio(acceleration=record.data),
        }
        for topic in ("free", "servo_jf"):
            commands[topic] = lambda record, topic=topic: arm.relax(topic)
        for topic in ("body/servo_cf", "spatial/servo_cf", "servo_ci", "jaw/servo_jf"):
            commands[topic] = lambda record, topic=topic: arm.relax(topic, "cartesian")
        commands["use_gravity_compensation"] = self._obey_gravity_compensation
        # of forces that are all 0
        commands["body/set_cf_orientation_absolute"] = lambda record: None
        for topic in _NOT_SIMULATED:
            commands[topic] = lambda record, topic=topic: arm.refuse(f"{topic} is not simulated")
        return commands

    def _obey_pose(self, record: PoseStamped | CartesianState, obey: Callable[[np.ndarray], None]) -> None:
        """What has no orientation is dropped without a word: at the dVRK it does not reach the arm."""
        length = math.hypot(*record.orientation)
        if 0 < length < math.inf:
            obey(Pose.of(record).matrix())

    def _obey_cartesian_state(self, record: CartesianState) -> None:
        others = {"has_velocity": record.twist_is_valid, "has_force": record.wrench_is_valid}
        if record.pose_is_valid:
            self._obey_pose(record, lambda pose: self.arm.servo_state(pose, **others))
        else:
            self.arm.servo_state(None, **others)

    def _obey_base_frame(self, record: PoseStamped) -> None:
        def obey(pose: np.ndarray) -> None:
            self.arm.control.base_frame, self._frame = pose, record.frame_id

        self._obey_pose(record, obey)

    def _obey_gravity_compensation(self, record: Bool) -> None:
        if record.data:
            self.arm.refuse("no gravity compensation is loaded")

    def _obey_ratio(self, *, speed: float | None = None, acceleration: float | None = None) -> None:
        if self.arm.set_ratios(speed, acceleration):
            self._say_ratios(speed, acceleration)

    def _say_ratios(self, speed: float | None, acceleration: float | None) -> None:
        """Those that have changed, and the one of both, which is 0 while they differ."""
        new_speed, new_acceleration = self.arm.control.ratios
        self._say("trajectory_j/ratio", Float64(new_speed if new_speed == new_acceleration else 0.0))
        if speed is not None:
            self._say("trajectory_j/ratio_v", Float64(speed))
        if acceleration is not None:
            self._say("trajectory_j/ratio_a", Float64(acceleration))

    def _publish_events(self) -> None:
        for topic, value in self.arm.take_events():
            if topic == "operating_state":
                self._say_state(*value)
            elif topic == "arm_clutch":
                self._say(topic, Joy(self._clock.now().wall_ns, "", (), (int(value),)))
            else:
                self._say(topic, Bool(value) if isinstance(value, bool) else String(value))

    def _say_state(self, state: str, is_homed: bool, is_busy: bool) -> None:
        # strictly increasing: clients wait for a newer one
        self._state_stamp_ns = max(self._state_stamp_ns + 1, self._clock.now().wall_ns)
        self._say("operating_state", OperatingState(self._state_stamp_ns, "", state, is_homed, is_busy))

    def _publish_telemetry(self) -> None:
        now_ns = self._clock.now().wall_ns
        if self._since_peers_s >= PEERS_EVERY_S:
            self._heard = tuple(
                topic
                for topic in telemetry.TOPICS
                if topic in self._publishers and self._publishers[topic].peers()
            )
            self._since_peers_s = 0.0
        for topic, record in self._telemetry.sample(self._heard, self._frame, now_ns, self._since_sample_s):
            said = self._distortion.apply(record) if topic == "measured_cp" else record
            if said is not None:
                self._publishers[topic].publish(said)
        self._since_sample_s = 0.0

    def _say(self, topic: str, record: Record) -> None:
        if topic in self._publishers:
            self._publishers[topic].publish(record)
