"""The rclpy transport: against real rclpy where ROS 2 is sourced, and what it says where it is not."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest

from l0_surgical.robot.control.records import Bool, OperatingState, PoseStamped, Record
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.network import udp_sockets
from l0_surgical.robot.messaging.ros2 import Ros2Transport, message_class
from l0_surgical.robot.messaging.transport import COMMAND, EVENT, TELEMETRY, Qos
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.robot.messaging.domains import ARM, DOMAIN, ELSEWHERE
from tests.robot.messaging.examples import EXAMPLES
from tests.robot.messaging.peer import ROOT, Peer, pose, socket_filter, wait_until

PARAMETERS = [pytest.param(*example, id=name) for name, example in EXAMPLES.items()]


def test_a_missing_rclpy_is_one_line() -> None:
    script = (
        "import sys; sys.modules['rclpy'] = None\nfrom l0_surgical.robot.messaging.ros2 import "
        "Ros2Transport\nRos2Transport.open()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    line = result.stderr.splitlines()[-1]
    assert line.startswith("l0_surgical.system.errors.BadInputError: the ros2 transport needs rclpy")
    assert "source a ROS 2 installation" in line


def test_a_missing_message_is_named() -> None:
    with pytest.raises(
        BadInputError, match=r"no_such_msgs/msg/Bool is missing .* install the ROS 2 package no_such_msgs"
    ):
        message_class("no_such_msgs/msg/Bool")


@pytest.fixture
def transports() -> Iterator[tuple[Ros2Transport, Ros2Transport]]:
    pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
    with Ros2Transport.open("one", DOMAIN) as one, Ros2Transport.open("other", DOMAIN) as other:
        yield one, other


@pytest.mark.parametrize(("record", "data"), PARAMETERS)
def test_the_bytes_are_those_of_rclpy(record: Record, data: bytes) -> None:
    serialization = pytest.importorskip("rclpy.serialization", reason="needs a sourced ROS 2")
    if not Ros2Transport.supports(None, type(record)):
        pytest.skip("needs the ROS 2 package crtk_msgs")
    message = serialization.deserialize_message(data, message_class(record.TYPE))
    assert serialization.serialize_message(message).hex(" ") == data.hex(" ")


@pytest.mark.parametrize(("record", "data"), PARAMETERS)
def test_every_record_crosses(
    transports: tuple[Ros2Transport, Ros2Transport], record: Record, data: bytes
) -> None:
    one, other = transports
    if not one.supports(type(record)):
        pytest.skip("needs the ROS 2 package crtk_msgs")
    publisher = one.publisher(f"/{ARM}/record", type(record), EVENT)
    subscription = other.subscription(f"/{ARM}/record", type(record), EVENT)
    wait_until(lambda: publisher.peers() == subscription.peers() == 1)
    publisher.publish(record)
    taken = []
    wait_until(lambda: taken.extend(subscription.take()) or taken)
    assert [received.record for received in taken] == [record]
    assert one.serialize(record) == data


def test_events_reach_late_joiners_and_the_depth_is_kept(
    transports: tuple[Ros2Transport, Ros2Transport],
) -> None:
    one, other = transports
    publisher = one.publisher(f"/{ARM}/late", PoseStamped, EVENT)
    for stamp_ns in range(3):
        publisher.publish(pose(stamp_ns))
    late = other.subscription(publisher.topic, PoseStamped, EVENT)
    taken = []
    wait_until(lambda: taken.extend(late.take()) or len(taken) == 3)
    assert [received.record.stamp_ns for received in taken] == [0, 1, 2]
    assert other.subscription(publisher.topic, PoseStamped, TELEMETRY).take() == []


FLOOD = """
import sys
from l0_surgical.robot.messaging.ros2 import Ros2Transport
from l0_surgical.robot.messaging.transport import TELEMETRY
from tests.robot.messaging.peer import PoseStamped, pose, wait_until
poses = Ros2Transport.open("flood", int(sys.argv[1])).publisher(sys.argv[2], PoseStamped, TELEMETRY)
wait_until(poses.peers)
while True:
    poses.publish(pose(1))
"""


def test_a_flood_fills_no_more_than_the_depth(transports: tuple[Ros2Transport, Ros2Transport]) -> None:
    """Two other processes write as fast as they can; each `take` ends nevertheless."""
    subscription = transports[0].subscription(f"/{ARM}/flood", PoseStamped, Qos(100))
    command = [sys.executable, "-c", FLOOD, str(DOMAIN), subscription.topic]
    with subprocess.Popen(command, cwd=ROOT) as one, subprocess.Popen(command, cwd=ROOT) as other:
        try:
            wait_until(lambda: subscription.peers() == 2)
            counts = []
            wait_until(lambda: counts.append(len(subscription.take())) or sum(counts) > 2000)
        finally:
            one.kill()
            other.kill()
    assert max(counts) <= 100


def test_texts_from_the_network_are_cut_to_a_line(transports: tuple[Ros2Transport, Ros2Transport]) -> None:
    one, other = transports
    publisher = one.publisher(f"/{ARM}/long", PoseStamped, EVENT)
    subscription = other.subscription(f"/{ARM}/long", PoseStamped, EVENT)
    wait_until(lambda: publisher.peers() == 1)
    publisher.publish(dataclasses.replace(pose(1), frame_id="x\n" * 500_000))
    taken = []
    wait_until(lambda: taken.extend(subscription.take()) or taken)
    assert taken[0].record == dataclasses.replace(pose(1), frame_id="x " * 98 + "x...")


def test_who_has_sent_a_message_and_who_may(transports: tuple[Ros2Transport, Ros2Transport]) -> None:
    one, other = transports
    subscription = other.subscription(f"/{ARM}/who", PoseStamped, TELEMETRY)
    assert subscription.writers() == frozenset()
    first = one.publisher(subscription.topic, PoseStamped, TELEMETRY)

    def told() -> set[object]:
        """The writers of what is taken after `first` has published once more."""
        first.publish(pose(1))
        taken = []
        wait_until(lambda: taken.extend(subscription.take()) or taken)
        return {received.writer for received in taken}

    wait_until(lambda: first.peers() == subscription.peers() == 1)
    wait_until(lambda: None not in told())
    (pinned,) = subscription.writers()
    assert told() == {pinned} == {first.writer}
    second = one.publisher(subscription.topic, PoseStamped, TELEMETRY)
    wait_until(lambda: subscription.peers() == 2)
    assert len(subscription.writers()) == 2
    # rclpy does not say which of them it was
    assert told() == {None}
    wait_until(lambda: pinned in subscription.writers())
    second.close()
    wait_until(lambda: subscription.writers() == {pinned})
    assert told() == {pinned}


def test_an_arm_client_alone_hears_its_own_commands_as_its_own(
    transports: tuple[Ros2Transport, Ros2Transport],
) -> None:
    one, other = transports
    if not one.supports(OperatingState):
        pytest.skip("needs the ROS 2 package crtk_msgs")
    arm, witness = CrtkArm(one, ARM), other.subscription(f"/{ARM}/servo_cp", PoseStamped, TELEMETRY)
    wait_until(lambda: witness.peers() == 1)
    for stamp_ns in range(5):
        arm.servo_cp(pose(stamp_ns))
        arm.state_command("enable", stamp_ns)
        wait_until(witness.take)
        assert arm.poll().foreign_commands == []
    stranger = other.publisher(f"/{ARM}/servo_cp", PoseStamped, COMMAND)
    wait_until(lambda: stranger.peers() == 2)
    stranger.publish(pose(99))
    foreign = []
    wait_until(lambda: foreign.extend(arm.poll().foreign_commands) or foreign)
    assert foreign == [f"/{ARM}/servo_cp"]


def test_no_socket_of_localhost_hears_other_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="needs a sourced ROS 2")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.delenv("CYCLONEDDS_URI", raising=False)
    before = udp_sockets()
    with Ros2Transport.open("confined", ELSEWHERE):
        opened = {inode: descriptor for inode, descriptor in udp_sockets().items() if inode not in before}
        assert opened
        assert all(socket_filter(descriptor) for descriptor in opened.values())


def test_what_is_closed_says_so(transports: tuple[Ros2Transport, Ros2Transport]) -> None:
    one, _ = transports
    publisher, subscription = (
        one.publisher(f"/{ARM}/end", Bool, COMMAND),
        one.subscription(f"/{ARM}/end", Bool, Qos(1)),
    )
    one.close()
    one.close()
    assert (publisher.peers(), subscription.peers(), subscription.take()) == (0, 0, [])
    with pytest.raises(L0SurgicalError, match="closed"):
        publisher.publish(Bool(True))
    with pytest.raises(L0SurgicalError, match="closed"):
        one.publisher("/a", Bool, COMMAND)


def test_bad_input_is_refused(transports: tuple[Ros2Transport, Ros2Transport]) -> None:
    one, _ = transports
    with pytest.raises(BadInputError, match="not a ROS topic"):
        one.publisher("/PSM 1/servo_cp", PoseStamped, COMMAND)
    with pytest.raises(BadInputError, match="carries Bool, not PoseStamped"):
        one.publisher(f"/{ARM}/hold", Bool, COMMAND).publish(pose(1))
    with pytest.raises(BadInputError, match="from 0 to 232"):
        Ros2Transport.open(domain=300)
    assert one.supports(PoseStamped)


@pytest.mark.parametrize("first", ["rclpy", "DDS"])
def test_rclpy_and_plain_dds_meet_whichever_starts_first(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """The other process has no rclpy: it answers through cyclonedds."""
    utilities = pytest.importorskip("rclpy.utilities", reason="needs a sourced ROS 2")
    if utilities.get_rmw_implementation_identifier() != "rmw_cyclonedds_cpp":
        pytest.skip("needs RMW_IMPLEMENTATION=rmw_cyclonedds_cpp")
    pytest.importorskip("cyclonedds", reason="needs the Python package cyclonedds")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    topic = f"/{ARM}/mixed_{first}"
    early = Peer(DOMAIN, topic) if first == "DDS" else None
    with Ros2Transport.open("mixed", DOMAIN) as transport:
        poses = transport.publisher(topic, PoseStamped, TELEMETRY)
        echoes = transport.subscription(f"{topic}/echo", PoseStamped, TELEMETRY)
        with early or Peer(DOMAIN, topic) as peer:
            wait_until(lambda: poses.peers() == 1 and echoes.peers() == 1)
            peer.send("echo 50")
            for stamp_ns in range(50):
                poses.publish(pose(stamp_ns))
            echoed = []
            wait_until(lambda: echoed.extend(echoes.take()) or len(echoed) == 50)
            assert [received.record for received in echoed] == [pose(stamp_ns) for stamp_ns in range(50)]
