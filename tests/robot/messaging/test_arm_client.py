"""The controller's side of an arm, over real DDS."""

import threading
import time
from collections.abc import Iterator

import pytest

from l0_surgical.robot.control.arm import STREAMS, TEXTS, ArmInputs
from l0_surgical.robot.control.clock import SystemClock
from l0_surgical.robot.control.records import (
    Empty,
    JointState,
    OperatingState,
    PoseStamped,
    Record,
    String,
    StringStamped,
    TwistStamped,
)
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.messages import sample_class
from l0_surgical.robot.messaging.transport import COMMAND, TELEMETRY, Publisher, Subscription, Transport
from l0_surgical.system.errors import BadInputError
from tests.in_memory_transport import Broker, MemoryTransport
from tests.robot.messaging.domains import ARM, DOMAIN
from tests.robot.messaging.examples import EXAMPLES
from tests.robot.messaging.peer import Peer, pose, wait_until


class ArmSide:
    """The arm's publishers and subscriptions, those that a client needs."""

    def __init__(self, transport: DdsTransport, name: str) -> None:
        self._transport = transport
        self._name = name
        self.publishers = {topic: self.publisher(topic) for topic in STREAMS}
        self.publishers |= {topic: self.publisher(topic) for topic in ("operating_state", *TEXTS)}
        self.commands = {topic: self.subscription(topic) for topic in ("servo_cp", "state_command")}

    def publisher(self, topic: str) -> Publisher:
        known = (crtk.PUBLISHED | crtk.SUBSCRIBED)[topic]
        return self._transport.publisher(crtk.topic_name(self._name, topic), known.record, known.qos)

    def subscription(self, topic: str) -> Subscription:
        known = crtk.SUBSCRIBED[topic]
        return self._transport.subscription(crtk.topic_name(self._name, topic), known.record, known.qos)

    def say(self, topic: str, record: Record) -> None:
        self.publishers[topic].publish(record)


@pytest.fixture
def transport() -> Iterator[DdsTransport]:
    with DdsTransport(DOMAIN) as transport:
        yield transport


@pytest.fixture
def arm_side() -> Iterator[ArmSide]:
    with DdsTransport(DOMAIN) as transport:
        yield ArmSide(transport, ARM)


def test_nothing_has_been_heard_at_first(transport: DdsTransport) -> None:
    inputs = CrtkArm(transport, ARM).poll()
    assert not any(inputs.news.values()) and not any(inputs.writers.values())
    assert inputs == ArmInputs(news=inputs.news, writers=inputs.writers)


def test_poll_gives_the_newest_and_all_that_nobody_may_miss(
    transport: DdsTransport, arm_side: ArmSide
) -> None:
    arm_side.say("operating_state", OperatingState(1, "", "DISABLED", False, False))
    arm_side.say("error", String("before the client came"))
    arm = CrtkArm(transport, ARM)
    assert arm.wait_for_peers(20)
    joints = JointState(6, "", ("yaw", "pitch"), (0.1, 0.2))
    jaw = JointState(7, "", ("jaw",), (0.3,))
    for stamp_ns in (3, 4, 5):
        arm_side.say("measured_cp", pose(stamp_ns))
    arm_side.say("setpoint_cp", pose(8))
    arm_side.say("measured_js", joints)
    arm_side.say("jaw/measured_js", jaw)
    arm_side.say("error", String("first"))
    arm_side.say("error", String("second"))
    inputs = arm.poll()
    assert [received.record.stamp_ns for received in inputs.news["measured_cp"]] == [3, 4, 5]
    assert inputs.measured_cp == inputs.news["measured_cp"][-1]
    assert inputs.setpoint_cp.record == pose(8)
    assert inputs.measured_js.record == joints
    assert inputs.jaw.record == jaw
    assert inputs.operating_state.record.state == "DISABLED"
    assert [received.record.data for received in inputs.news["error"]] == ["first", "second"]
    assert inputs.foreign_commands == []

    later = arm.poll()
    assert not any(later.news.values())
    assert (later.measured_cp, later.jaw, later.operating_state) == (
        inputs.measured_cp,
        inputs.jaw,
        inputs.operating_state,
    )
    arm_side.say("operating_state", OperatingState(9, "", "FAULT", True, False))
    assert arm.poll().operating_state.record.state == "FAULT"
    assert inputs.operating_state.record.state == "DISABLED"


def test_commands_reach_the_arm_and_are_not_foreign(transport: DdsTransport, arm_side: ArmSide) -> None:
    arm = CrtkArm(transport, ARM)
    assert arm.wait_for_peers(20)
    for stamp_ns in range(1, 1500):
        command = PoseStamped(stamp_ns, "PSM1_base", (0.1 * stamp_ns, 1 / 3, -0.1), (0.5, 0.5, 0.5, 0.5))
        arm.servo_cp(command)
        if stamp_ns % 50 == 0:
            assert [received.record for received in arm_side.commands["servo_cp"].take()] == [command]
            assert arm.poll().foreign_commands == []
    for command in ("enable", "home"):
        arm.state_command(command, 77)
    assert arm.poll().foreign_commands == []
    arrived = []
    wait_until(lambda: arrived.extend(arm_side.commands["state_command"].take()) or arrived)
    # the dVRK keeps one command: the last
    assert [received.record for received in arrived][-1] == StringStamped(77, "", "home")


def test_a_second_controller_in_another_process_is_seen(transport: DdsTransport, arm_side: ArmSide) -> None:
    arm = CrtkArm(transport, ARM)
    with Peer(DOMAIN, f"/{ARM}/servo_cp") as peer:
        assert arm.wait_for_peers(20)
        arm.servo_cp(pose(100))
        assert arm.poll().foreign_commands == []
        assert peer.ask("publish 1") == "done"
        foreign = []
        wait_until(lambda: foreign.extend(arm.poll().foreign_commands) or foreign)
        assert foreign == [f"/{ARM}/servo_cp"]
        assert arm.poll().foreign_commands == []


def test_the_same_pose_with_another_stamp_is_foreign(transport: DdsTransport) -> None:
    arm, other = CrtkArm(transport, ARM), CrtkArm(transport, ARM)
    arm.servo_cp(pose(1))
    assert arm.poll().foreign_commands == []
    assert other.poll().foreign_commands == [f"/{ARM}/servo_cp"]
    other.servo_cp(pose(2))
    assert arm.poll().foreign_commands == [f"/{ARM}/servo_cp"]


@pytest.fixture(params=["DDS, which tells who sent", "a transport that does not"])
def either_transport(request: pytest.FixtureRequest, transport: DdsTransport) -> Transport:
    return transport if "DDS" in request.param else MemoryTransport(Broker(SystemClock()))


@pytest.mark.parametrize("age", [0, 1, 20, 100])
def test_a_copy_of_an_own_command_is_foreign(either_transport: Transport, age: int) -> None:
    """However old, and also if it comes at once."""
    arm, other = CrtkArm(either_transport, ARM), CrtkArm(either_transport, ARM)
    for stamp_ns in range(1, 200):
        arm.servo_cp(pose(stamp_ns))
        assert arm.poll().foreign_commands == []
    other.servo_cp(pose(199 - age))
    assert arm.poll().foreign_commands == [f"/{ARM}/servo_cp"]
    arm.state_command("enable", 1)
    assert arm.poll().foreign_commands == []
    other.state_command("enable", 1)
    assert arm.poll().foreign_commands == [f"/{ARM}/state_command"]


def test_a_command_that_never_came_back_cannot_be_copied_later(either_transport: Transport) -> None:
    arm, other = CrtkArm(either_transport, ARM), CrtkArm(either_transport, ARM)
    for stamp_ns in range(1, 200):  # more than are kept between two polls
        arm.servo_cp(pose(stamp_ns))
    assert arm.poll().foreign_commands == []
    other.servo_cp(pose(1))
    assert arm.poll().foreign_commands == [f"/{ARM}/servo_cp"]


@pytest.mark.parametrize("topic", [topic for topic in crtk.SUBSCRIBED if topic != "servo_cp"])
def test_everything_else_that_an_arm_is_told_is_foreign(
    transport: DdsTransport, arm_side: ArmSide, topic: str
) -> None:
    arm = CrtkArm(transport, ARM)
    record_type = crtk.SUBSCRIBED[topic].record
    arm_side.publisher(topic).publish(
        next(record for record, _ in EXAMPLES.values() if type(record) is record_type)
    )
    assert arm.poll().foreign_commands == [f"/{ARM}/{topic}"]


def test_who_publishes_what_the_arm_says(transport: DdsTransport, arm_side: ArmSide) -> None:
    arm = CrtkArm(transport, ARM)
    arm_side.say("measured_cp", pose(1))
    inputs = arm.poll()
    first = inputs.writers
    assert first["measured_cp"] == {inputs.measured_cp.writer}
    assert len(first["measured_cp"]) == 1
    with DdsTransport(DOMAIN) as other:
        other.publisher(f"/{ARM}/measured_cp", PoseStamped, crtk.PUBLISHED["measured_cp"].qos)
        wait_until(lambda: len(arm.poll().writers["measured_cp"]) == 2)
        assert arm.poll().writers["measured_cp"] > first["measured_cp"]
    wait_until(lambda: arm.poll().writers == first)


def test_the_start_up_line_says_who_is_there(transport: DdsTransport) -> None:
    arm = CrtkArm(transport, ARM)
    topics = (*STREAMS, "operating_state", *TEXTS, "servo_cp", "state_command")
    assert arm.peers() == {f"/{ARM}/{topic}": 0 for topic in topics}
    assert arm.describe_peers().startswith(
        f"{ARM}: 0 of 12 topics have found their peer; nobody on: /{ARM}/measured_js "
    )
    assert not arm.wait_for_peers(0.05)
    with DdsTransport(DOMAIN) as other:
        other.publisher(f"/{ARM}/measured_cp", PoseStamped, crtk.PUBLISHED["measured_cp"].qos)
        other.subscription(f"/{ARM}/servo_cp", PoseStamped, COMMAND)
        wait_until(lambda: sum(arm.peers().values()) == 2)
        line = (
            f"{ARM}: 2 of 12 topics have found their peer; found: /{ARM}/measured_cp /{ARM}/servo_cp; "
            f"nobody on: /{ARM}/measured_js "
        )
        assert arm.describe_peers().startswith(line)


def test_the_start_up_line_says_why_those_who_are_there_are_not_heard(transport: DdsTransport) -> None:
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.pub import DataWriter
    from cyclonedds.qos import Policy, Qos
    from cyclonedds.topic import Topic

    arm = CrtkArm(transport, ARM)
    participant = DomainParticipant(DOMAIN)
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.DataRepresentation(use_cdrv0_representation=True))
    writer = DataWriter(
        participant, Topic(participant, f"rt/{ARM}/setpoint_cp", sample_class(PoseStamped)), best_effort
    )
    with DdsTransport(DOMAIN) as other:
        other.publisher(f"/{ARM}/measured_cp", TwistStamped, TELEMETRY)
        other.publisher(f"/{ARM}/operating_state", OperatingState, TELEMETRY)
        expected = (
            f"{ARM}: 0 of 12 topics have found their peer; met but not matched: /{ARM}/measured_cp (message "
            f"type) /{ARM}/setpoint_cp (reliability) /{ARM}/operating_state (durability); nobody on: "
            f"/{ARM}/measured_js "
        )
        wait_until(lambda: arm.describe_peers().startswith(expected))
    del writer, participant


def test_a_wait_for_peers_hears_that_it_should_stop(transport: DdsTransport) -> None:
    stop, begin = threading.Event(), time.monotonic()
    threading.Timer(0.1, stop.set).start()
    assert not CrtkArm(transport, ARM).wait_for_peers(120, stop)
    assert time.monotonic() - begin < 60


def test_a_bad_name_is_refused(transport: DdsTransport) -> None:
    for name in ("PSM 1", "", "/PSM1", "1PSM"):
        with pytest.raises(BadInputError, match="the arm's name is"):
            CrtkArm(transport, name)


class WithoutCrtkMsgs(DdsTransport):
    """DDS as it is on a ROS installation that lacks the package crtk_msgs."""

    def supports(self, record_type: type[Record]) -> bool:
        return not record_type.TYPE.startswith("crtk_msgs/")


def test_without_crtk_msgs_the_state_is_inferred(arm_side: ArmSide) -> None:
    with WithoutCrtkMsgs(DOMAIN) as transport:
        arm = CrtkArm(transport, ARM)
        assert f"/{ARM}/operating_state" not in arm.peers()
        wait_until(lambda: arm.peers()[f"/{ARM}/measured_cp"] and arm.peers()[f"/{ARM}/setpoint_cp"])
        arm_side.say("measured_cp", pose(0))
        assert arm.poll().operating_state is None
        states = []
        for measured, setpoint in ((0, 0), (5, 0), (6, 7), (0, 8)):
            arm_side.say("measured_cp", pose(measured))
            arm_side.say("setpoint_cp", pose(setpoint))
            states.append(arm.poll().operating_state.record)
        assert [(state.state, state.is_homed) for state in states] == [
            ("DISABLED", False),
            ("DISABLED", False),
            ("ENABLED", True),
            ("DISABLED", False),
        ]
        assert states[2].stamp_ns == 7
        # nobody can see that the arm is enabled before it is homed: whoever homes it next relies on having
        # asked for it
        for command, inferred in (("enable", "ENABLED"), ("home", "ENABLED"), ("disable", "DISABLED")):
            arm.state_command(command, 1)
            state = arm.poll().operating_state.record
            assert (state.state, state.is_homed) == (inferred, False)
        assert not any(state.is_busy for state in states)


def test_without_crtk_msgs_commands_go_to_the_system(transport: DdsTransport) -> None:
    system = {
        topic: transport.subscription(f"/system/{topic}", Empty, COMMAND)
        for topic in ("power_on", "home", "power_off")
    }
    with WithoutCrtkMsgs(DOMAIN) as without:
        arm = CrtkArm(without, ARM)
        wait_until(lambda: all(subscription.peers() for subscription in system.values()))
        for command, topic in (("enable", "power_on"), ("home", "home"), ("disable", "power_off")):
            arm.state_command(command, 1)
            arrived = []
            wait_until(lambda topic=topic, arrived=arrived: arrived.extend(system[topic].take()) or arrived)
            assert [received.record for received in arrived] == [Empty()]
            assert all(subscription.take() == [] for subscription in system.values())
        with pytest.raises(BadInputError, match="'pause' cannot be sent without the ROS 2 package crtk_msgs"):
            arm.state_command("pause", 1)
