"""Recordings: what ROS 2's and Foxglove's readers find in them, and what is left after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from l0_surgical.robot.control.records import Bool, Record, String
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.definitions import schema, type_hash
from l0_surgical.robot.messaging.recording import NOTE_TOPIC, Recording, _BackgroundFile, read_recording
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.robot.messaging.domains import DOMAIN
from tests.robot.messaging.examples import EXAMPLES, STAMP_NS
from tests.robot.messaging.peer import ROOT, pose

ALL: list[tuple[str, int, Record]] = [
    (f"/PSM1/example_{index}", STAMP_NS + index, record)
    for index, (record, _) in enumerate(EXAMPLES.values())
]


@pytest.fixture(scope="module")
def transport() -> Iterator[DdsTransport]:
    with DdsTransport(DOMAIN) as transport:
        yield transport


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "reach.mcap"


def record_all(path: Path, transport: DdsTransport, times: int = 1) -> None:
    with Recording(path, transport) as recording:
        for _ in range(times):
            for topic, log_time_ns, record in ALL:
                recording.write(topic, record, log_time_ns)


def test_a_recording_comes_back(path: Path, transport: DdsTransport) -> None:
    record_all(path, transport)
    assert list(read_recording(path)) == ALL


def test_many_chunks_come_back_in_order(path: Path, transport: DdsTransport) -> None:
    record_all(path, transport, times=200)
    assert list(read_recording(path)) == ALL * 200
    with path.open("rb") as file:
        summary = make_reader(file, validate_crcs=True).get_summary()
    assert summary.statistics.message_count == 200 * len(ALL)
    assert summary.statistics.chunk_count > 3
    assert all(index.compression == "" and index.message_index_length > 0 for index in summary.chunk_indexes)


def test_ros_2s_decoder_reads_every_type_by_the_schema_in_the_file(
    path: Path, transport: DdsTransport
) -> None:
    record_all(path, transport)
    with path.open("rb") as file:
        decoded = {
            (channel.topic, message.log_time): message_of
            for _, channel, message, message_of in make_reader(
                file, decoder_factories=[DecoderFactory()]
            ).iter_decoded_messages()
        }
    assert len(decoded) == len(ALL)
    by_name = {
        name: decoded[topic, log_time] for name, (topic, log_time, _) in zip(EXAMPLES, ALL, strict=True)
    }
    stamped = by_name["PoseStamped"]
    assert (stamped.header.stamp.sec, stamped.header.stamp.nanosec, stamped.header.frame_id) == (
        1_234_567_890,
        987_654_321,
        "PSM1_base",
    )
    position, orientation = stamped.pose.position, stamped.pose.orientation
    assert (position.x, position.y, position.z) == (0.01, -0.02, -0.1135)
    assert (orientation.x, orientation.y, orientation.z, orientation.w) == (0.1, 0.2, 0.3, 0.9)
    joints = by_name["JointState"]
    assert (joints.name, list(joints.position), list(joints.velocity), list(joints.effort)) == (
        ["yaw", "pitch"],
        [0.25, -0.5],
        [0.125],
        [],
    )
    assert (by_name["TwistStamped"].twist.angular.z, by_name["WrenchStamped"].wrench.force.x) == (6.0, -1.0)
    state = by_name["OperatingState"]
    assert (state.state, state.is_homed, state.is_busy) == ("ENABLED", True, False)
    assert (by_name["StringStamped"].string, by_name["String"].data, by_name["Bool"].data) == (
        "home",
        "1 µm",
        True,
    )
    assert (by_name["Float64"].data, list(by_name["Float64MultiArray"].data)) == (-2.5, [1.5, -2.5, 3.5])


def test_the_file_is_laid_out_as_rosbag2_lays_it_out(path: Path, transport: DdsTransport) -> None:
    with Recording(path, transport) as recording:
        recording.write("/PSM1/measured_cp", pose(1), 1)
        recording.write("/PSM1/goal_reached", Bool(True), 2)
        recording.write("/PSM1/jaw/servo_jp", EXAMPLES["JointState"][0], 3)
        recording.note("armed", 4)
    with path.open("rb") as file:
        reader = make_reader(file)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
    channels = {channel.topic: channel for channel in summary.channels.values()}
    assert set(channels) == {"/PSM1/measured_cp", "/PSM1/goal_reached", "/PSM1/jaw/servo_jp", NOTE_TOPIC}
    found = summary.schemas[channels["/PSM1/measured_cp"].schema_id]
    name = "geometry_msgs/msg/PoseStamped"
    assert (found.name, found.encoding, found.data.decode()) == (name, "ros2msg", schema(name))
    assert channels["/PSM1/measured_cp"].message_encoding == "cdr"
    assert channels["/PSM1/measured_cp"].metadata["topic_type_hash"] == type_hash(name)
    profiles = {
        topic: channel.metadata["offered_qos_profiles"].splitlines() for topic, channel in channels.items()
    }
    reliable = ["- history: 1", "  depth: 100", "  reliability: 1"]
    assert profiles["/PSM1/measured_cp"][:4] == [*reliable, "  durability: 2"]
    assert profiles["/PSM1/goal_reached"][:4] == [*reliable, "  durability: 1"]
    assert profiles["/PSM1/jaw/servo_jp"][:2] == ["- history: 1", "  depth: 1"]
    assert summary.schemas[channels[NOTE_TOPIC].schema_id].name == "std_msgs/msg/String"


def test_a_note_is_timed_by_the_wall_clock(path: Path, transport: DdsTransport) -> None:
    with Recording(path, transport) as recording:
        recording.note("armed", STAMP_NS)
        recording.note("disarmed")
    (first, second) = read_recording(path)
    assert first == (NOTE_TOPIC, STAMP_NS, String("armed"))
    assert second[1] > STAMP_NS


KILLED = """
import sys, time
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.recording import Recording
from tests.robot.messaging.peer import pose
recording = Recording(sys.argv[1], DdsTransport(int(sys.argv[2])))
stamp_ns = 0
while True:
    for _ in range(20):
        stamp_ns += 5_000_000
        recording.write("/PSM1/servo_cp", pose(stamp_ns), stamp_ns)
    print(stamp_ns, flush=True)
    time.sleep(0.001)
"""


def test_a_recording_survives_a_kill(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(DOMAIN)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    written_ns = 0
    while written_ns < 10_000_000_000:
        written_ns = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    read = list(read_recording(path))
    stamps = [5_000_000 * (index + 1) for index in range(len(read))]
    assert read == [("/PSM1/servo_cp", stamp_ns, pose(stamp_ns)) for stamp_ns in stamps]
    # at most a chunk of half a second of the robot's time is lost, and what the writing thread had not yet
    # handed over
    assert stamps[-1] > written_ns - 2_000_000_000


@pytest.mark.parametrize("kept", [0.3, 0.77, 0.9])
def test_a_file_without_its_end_is_read_as_far_as_it_goes(
    path: Path, transport: DdsTransport, kept: float
) -> None:
    record_all(path, transport, times=200)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    read = list(read_recording(path))
    assert 0.2 * 200 * len(ALL) < len(read) < 200 * len(ALL)
    assert read == (ALL * 200)[: len(read)]


def test_a_damaged_file_is_refused(path: Path, transport: DdsTransport) -> None:
    record_all(path, transport, times=200)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInputError, match=r"reach.mcap is damaged \(crc"):
        list(read_recording(path))


@pytest.mark.parametrize("content", [b"", b"short", b"not an mcap file at all"])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"other.mcap is not an MCAP file"):
        list(read_recording(path))


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none.mcap: No such file"):
        list(read_recording(tmp_path / "none.mcap"))


def test_an_existing_file_is_not_overwritten(path: Path, transport: DdsTransport) -> None:
    path.parent.mkdir()
    path.write_bytes(b"precious")
    with pytest.raises(BadInputError, match="exists already"):
        Recording(path, transport)
    assert path.read_bytes() == b"precious"


def test_bad_paths_are_refused(tmp_path: Path, transport: DdsTransport) -> None:
    with pytest.raises(BadInputError, match=r"the ending .mcap"):
        Recording(tmp_path / "reach.bag", transport)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInputError, match="cannot create the folder"):
        Recording(tmp_path / "file" / "reach.mcap", transport)
    (tmp_path / "folder.mcap").mkdir()
    with pytest.raises(BadInputError, match=r"folder.mcap"):
        Recording(tmp_path / "folder.mcap", transport)


def test_a_topic_keeps_its_type_and_a_closed_recording_is_closed(path: Path, transport: DdsTransport) -> None:
    recording = Recording(path, transport)
    recording.write("/PSM1/hold", Bool(True), 1)
    with pytest.raises(BadInputError, match="/PSM1/hold is recorded as Bool, not String"):
        recording.write("/PSM1/hold", String("x"), 2)
    recording.close()
    recording.close()
    with pytest.raises(L0SurgicalError, match="closed"):
        recording.write("/PSM1/hold", Bool(True), 3)


FULL = """
import resource, signal, sys
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.recording import Recording
from tests.robot.messaging.peer import pose
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
recording = Recording(sys.argv[1], DdsTransport(int(sys.argv[2])))
for stamp_ns in range(2000):
    recording.write("/PSM1/servo_cp", pose(stamp_ns), stamp_ns)
try:
    recording.close()
except L0SurgicalError as error:
    print(recording.failure, error, sep="|")
"""


def test_a_full_disk_ends_the_recording_but_not_the_caller(path: Path) -> None:
    """The process may write 100 kB to a file; the robot's loop must not stop for that."""
    command = [sys.executable, "-c", FULL, str(path), str(DOMAIN)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    failure, message = result.stdout.strip().split("|")
    assert failure == "File too large"
    assert message == f"the recording {path} is not complete: File too large; what was written can be read"
    read = list(read_recording(path))
    assert 200 < len(read) < 2000
    assert read == [("/PSM1/servo_cp", stamp_ns, pose(stamp_ns)) for stamp_ns in range(len(read))]


def test_a_disk_that_hangs_keeps_nobody_from_ending() -> None:
    """A pipe whose reader takes nothing stands for it: a write to it does not return."""
    read, write = os.pipe()
    file = _BackgroundFile(os.fdopen(write, "wb", buffering=0))
    file.write(bytes(1_000_000))
    file.close()
    assert file.failure == "the disk has taken nothing for 2 s"
    os.close(read)
