"""The DDS transport on real DDS, within a process and between two."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from l0_surgical.robot.control.records import Bool, OperatingState, PoseStamped
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.definitions import type_hash
from l0_surgical.robot.messaging.messages import message_class
from l0_surgical.robot.messaging.transport import COMMAND, EVENT, TELEMETRY, Qos
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.robot.messaging.domains import ARM, DOMAIN, ELSEWHERE
from tests.robot.messaging.peer import Peer, pose, wait_until


@pytest.fixture
def transport() -> Iterator[DdsTransport]:
    with DdsTransport(DOMAIN) as transport:
        yield transport


@pytest.mark.parametrize("first", ["this process", "the other"])
def test_two_processes_meet_whichever_starts_first(first: str) -> None:
    topic = f"/{ARM}/{first.replace(' ', '_')}"
    other = Peer(DOMAIN, topic) if first == "the other" else None
    with DdsTransport(DOMAIN) as transport:
        poses = transport.publisher(topic, PoseStamped, TELEMETRY)
        echoes = transport.subscription(f"{topic}/echo", PoseStamped, TELEMETRY)
        with other or Peer(DOMAIN, topic) as peer:
            wait_until(lambda: poses.peers() == 1 and echoes.peers() == 1)
            peer.send("echo 50")
            for stamp_ns in range(50):
                poses.publish(pose(stamp_ns))
            echoed = []
            wait_until(lambda: echoed.extend(echoes.take()) or len(echoed) == 50)
            assert [received.record for received in echoed] == [pose(stamp_ns) for stamp_ns in range(50)]
            assert peer.process.stdout.readline() == "done\n"
            assert peer.ask("exit") == "closed"
            assert peer.process.wait(10) == 0
            wait_until(lambda: poses.peers() == 0 and echoes.peers() == 0)


# the peer's own configuration: as "localhost", but its death is noticed after a second instead of ten
SHORT_LEASE = """<CycloneDDS><Domain><General><AllowMulticast>false</AllowMulticast>
<Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces></General><Discovery><LeaseDuration>1s</LeaseDuration>
<ParticipantIndex>auto</ParticipantIndex><Peers><Peer Address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>"""


@pytest.mark.parametrize("ending", ["exit", "kill"])
def test_a_writer_that_leaves_or_dies_leaves_only_its_samples(transport: DdsTransport, ending: str) -> None:
    topic = f"/{ARM}/{ending}"
    poses = transport.subscription(topic, PoseStamped, TELEMETRY)
    with Peer(DOMAIN, topic, CYCLONEDDS_URI=SHORT_LEASE) as peer:
        assert peer.ask("publish 3") == "done"
        taken = []
        wait_until(lambda: taken.extend(poses.take()) or len(taken) == 3)
        if ending == "exit":
            assert peer.ask("exit") == "closed"
        else:
            peer.process.kill()
        wait_until(lambda: poses.peers() == 0)
    assert [received.record for received in taken] == [pose(1), pose(2), pose(3)]
    assert poses.take() == []
    transport.publisher(topic, PoseStamped, COMMAND).publish(pose(7))
    assert [received.record for received in poses.take()] == [pose(7)]


def test_cyclonedds_does_hand_out_samples_without_data_and_ours_drops_them(transport: DdsTransport) -> None:
    """A plain reader beside ours gets one when the only writer leaves."""
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.internal import InvalidSample
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    topic = f"/{ARM}/gone"
    ours = transport.subscription(topic, Bool, EVENT)
    participant = DomainParticipant(DOMAIN)
    plain = DataReader(participant, Topic(participant, f"rt{topic}", message_class(Bool.TYPE)))
    with DdsTransport(DOMAIN) as other:
        other.publisher(topic, Bool, EVENT).publish(Bool(True))
        assert [sample.data for sample in plain.take(10)] == [True]
        assert [received.record for received in ours.take()] == [Bool(True)]
    samples = []
    wait_until(lambda: samples.extend(plain.take(10)) or samples)
    assert [type(sample) for sample in samples] == [InvalidSample]
    assert ours.take() == []


def test_events_reach_late_joiners_and_telemetry_does_not(transport: DdsTransport) -> None:
    events = transport.publisher(f"/{ARM}/operating_state", OperatingState, EVENT)
    telemetry = transport.publisher(f"/{ARM}/measured_cp", PoseStamped, TELEMETRY)
    states = [
        OperatingState(stamp_ns, "", state, False, False)
        for stamp_ns, state in enumerate(("DISABLED", "ENABLED", "PAUSED"), 1)
    ]
    for state in states:
        events.publish(state)
        telemetry.publish(pose(state.stamp_ns))
    with DdsTransport(DOMAIN) as late:
        early = late.subscription(events.topic, OperatingState, EVENT)
        volatile = late.subscription(events.topic, OperatingState, Qos(100))
        poses = late.subscription(telemetry.topic, PoseStamped, TELEMETRY)
        taken = []
        wait_until(lambda: taken.extend(early.take()) or len(taken) == 3)
        assert [received.record for received in taken] == states
        assert volatile.take() == []
        assert poses.take() == []
        assert volatile.peers() == poses.peers() == 1


def test_a_transient_local_reader_does_not_match_a_volatile_writer(transport: DdsTransport) -> None:
    publisher = transport.publisher(f"/{ARM}/error", Bool, TELEMETRY)
    subscription = transport.subscription(f"/{ARM}/error", Bool, EVENT)
    publisher.publish(Bool(True))
    assert (publisher.peers(), subscription.peers(), subscription.take()) == (0, 0, [])


def test_only_the_last_of_the_depth_are_kept_in_order(transport: DdsTransport) -> None:
    publisher = transport.publisher(f"/{ARM}/depth", PoseStamped, TELEMETRY)
    subscription = transport.subscription(f"/{ARM}/depth", PoseStamped, Qos(5))
    before = time.monotonic_ns()
    for stamp_ns in range(12):
        publisher.publish(pose(stamp_ns))
    taken = subscription.take()
    assert [received.record.stamp_ns for received in taken] == [7, 8, 9, 10, 11]
    assert all(before <= received.received_ns <= time.monotonic_ns() for received in taken)
    assert subscription.take() == []


def test_a_flood_fills_no_more_than_the_depth(transport: DdsTransport) -> None:
    """Two other processes write as fast as they can; each `take` ends nevertheless."""
    topic = f"/{ARM}/flood"
    poses = transport.subscription(topic, PoseStamped, Qos(100))
    with Peer(DOMAIN, topic) as one, Peer(DOMAIN, topic) as other:
        wait_until(lambda: poses.peers() == 2)
        one.send("flood")
        other.send("flood")
        counts = []
        wait_until(lambda: counts.append(len(poses.take())) or sum(counts) > 2000)
    assert max(counts) <= 100


def test_texts_from_the_network_are_cut_to_a_line(transport: DdsTransport) -> None:
    publisher = transport.publisher(f"/{ARM}/long", OperatingState, EVENT)
    subscription = transport.subscription(publisher.topic, OperatingState, EVENT)
    publisher.publish(OperatingState(1, "x" * 1_000_000, "ENABLED\nFAULT", True, False))
    (received,) = subscription.take()
    assert received.record == OperatingState(1, "x" * 197 + "...", "ENABLED FAULT", True, False)


def test_who_has_sent_a_message_and_who_may(transport: DdsTransport) -> None:
    topic = f"/{ARM}/who"
    poses = transport.subscription(topic, PoseStamped, TELEMETRY)
    assert poses.writers() == frozenset()
    ours = transport.publisher(topic, PoseStamped, TELEMETRY)
    ours.publish(pose(1))
    (first,) = poses.take()
    assert first.writer == ours.writer
    assert poses.writers() == {ours.writer}
    with Peer(DOMAIN, topic) as peer:
        wait_until(lambda: len(poses.writers()) == 2)
        assert peer.ask("publish 3") == "done"
        taken = []
        wait_until(lambda: taken.extend(poses.take()) or len(taken) == 3)
        (stranger,) = poses.writers() - {ours.writer}
        assert {received.writer for received in taken} == {stranger}
        with Peer(DOMAIN, topic):
            wait_until(lambda: len(poses.writers()) == 3)
        assert peer.ask("exit") == "closed"
    ours.publish(pose(2))
    assert [received.writer for received in poses.take()] == [ours.writer]


def test_ros_2_sees_the_right_names_and_policies(transport: DdsTransport) -> None:
    from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.qos import Policy

    transport.publisher(f"/{ARM}/jaw/servo_jp", OperatingState, EVENT)
    participant = DomainParticipant(DOMAIN)
    reader = BuiltinDataReader(participant, BuiltinTopicDcpsPublication)
    found = {}
    wait_until(
        lambda: (
            found.update({sample.topic_name: sample for sample in reader.take(100)})
            or f"rt/{ARM}/jaw/servo_jp" in found
        )
    )
    endpoint = found[f"rt/{ARM}/jaw/servo_jp"]
    assert endpoint.type_name == "crtk_msgs::msg::dds_::OperatingState_"
    assert Policy.Durability.TransientLocal in endpoint.qos
    assert isinstance(endpoint.qos[Policy.Reliability], Policy.Reliability.Reliable)
    assert endpoint.qos[Policy.DataRepresentation] == Policy.DataRepresentation(use_cdrv0_representation=True)
    assert (
        endpoint.qos[Policy.Userdata].data
        == f"typehash={type_hash('crtk_msgs/msg/OperatingState')};".encode()
    )


def test_a_reader_like_that_of_ros_2_gets_the_pose(transport: DdsTransport) -> None:
    """rclpy with a depth of 10: reliable, volatile, keep last; no data representation and no user data
    given."""
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.qos import Policy
    from cyclonedds.qos import Qos as DdsQos
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic

    participant = DomainParticipant(DOMAIN)
    topic = Topic(participant, f"rt/{ARM}/servo_cp", message_class(PoseStamped.TYPE))
    policies = (Policy.Reliability.Reliable(0), Policy.Durability.Volatile, Policy.History.KeepLast(10))
    reader = DataReader(participant, topic, DdsQos(*policies))
    transport.publisher(f"/{ARM}/servo_cp", PoseStamped, COMMAND).publish(pose(5))
    (sample,) = reader.take(10)
    assert (sample.header.stamp.nanosec, sample.pose.position.z) == (5, -0.125)


def test_transports_of_one_process_share_a_domain_or_keep_apart() -> None:
    with (
        DdsTransport(DOMAIN) as first,
        DdsTransport(DOMAIN) as second,
        DdsTransport(ELSEWHERE, "subnet") as elsewhere,
    ):
        publisher = first.publisher(f"/{ARM}/shared", Bool, EVENT)
        same, other = (
            transport.subscription(publisher.topic, Bool, EVENT) for transport in (second, elsewhere)
        )
        publisher.publish(Bool(True))
        wait_until(lambda: same.peers() == 1)
        assert [received.record for received in same.take()] == [Bool(True)]
        assert (other.peers(), other.take()) == (0, [])
        first.close()
        wait_until(lambda: same.peers() == 0)
        second.publisher(f"/{ARM}/shared", Bool, EVENT)
        wait_until(lambda: same.peers() == 1)
        with pytest.raises(BadInputError, match=f"domain {DOMAIN} open with another discovery or interface"):
            DdsTransport(DOMAIN, "subnet")
    with DdsTransport(DOMAIN, "subnet") as reopened:
        assert reopened.domain == DOMAIN


def test_what_is_closed_says_so() -> None:
    transport = DdsTransport(DOMAIN)
    publisher = transport.publisher(f"/{ARM}/closing", Bool, EVENT)
    subscription = transport.subscription(f"/{ARM}/closing", Bool, EVENT)
    transport.close()
    transport.close()
    assert (subscription.take(), subscription.peers(), publisher.peers()) == ([], 0, 0)
    with pytest.raises(L0SurgicalError, match="closed"):
        publisher.publish(Bool(True))
    with pytest.raises(L0SurgicalError, match="closed"):
        transport.publisher("/a", Bool, EVENT)


@pytest.mark.parametrize(
    "topic", ["servo_cp", "/PSM 1/servo_cp", "/PSM1//servo_cp", "/1/servo_cp", "/PSM1/servo_cp/", ""]
)
def test_a_bad_topic_is_refused(transport: DdsTransport, topic: str) -> None:
    with pytest.raises(BadInputError, match="not a ROS topic"):
        transport.subscription(topic, Bool, EVENT)


def test_a_record_of_another_type_is_refused(transport: DdsTransport) -> None:
    with pytest.raises(BadInputError, match="carries Bool, not PoseStamped"):
        transport.publisher(f"/{ARM}/hold", Bool, EVENT).publish(pose(1))


@pytest.mark.parametrize("domain", [-1, 233])
def test_a_bad_domain_is_refused(domain: int) -> None:
    with pytest.raises(BadInputError, match=f"domain is {domain}; it must be from 0 to 232"):
        DdsTransport(domain)


def test_the_domain_is_that_of_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    with DdsTransport() as transport:
        assert transport.domain == DOMAIN
    for text, words in (
        ("eleven", "'eleven'; it must be a whole number"),
        ("250", "250; it must be from 0 to 232"),
    ):
        monkeypatch.setenv("ROS_DOMAIN_ID", text)
        with pytest.raises(BadInputError, match=f"ROS_DOMAIN_ID is {words}"):
            DdsTransport()


def test_an_unknown_discovery_is_refused() -> None:
    with pytest.raises(BadInputError, match="'internet'; choose localhost or subnet"):
        DdsTransport(DOMAIN, "internet")


def test_a_configuration_of_the_users_wins_and_a_bad_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CYCLONEDDS_URI",
        "<CycloneDDS><Domain><General><NoSuchSetting>1</NoSuchSetting></General></Domain></CycloneDDS>",
    )
    with pytest.raises(L0SurgicalError, match="CYCLONEDDS_URI"):
        DdsTransport(DOMAIN)
    monkeypatch.delenv("CYCLONEDDS_URI")
    DdsTransport(DOMAIN).close()


def test_a_missing_cyclonedds_is_one_line() -> None:
    script = (
        "import sys; sys.modules['cyclonedds'] = None\nfrom l0_surgical.robot.messaging.dds import "
        "DdsTransport\nDdsTransport(0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    line = result.stderr.splitlines()[-1]
    assert line.startswith("l0_surgical.system.errors.BadInputError: DDS needs the package cyclonedds")
    assert line.endswith("pip install 'l0_surgical[dds]'")
