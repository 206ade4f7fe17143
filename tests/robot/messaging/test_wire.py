"""Every message's layout against the bytes of ROS 2: DDS compares names only, so that a field out of place
would go unnoticed."""

import math
import subprocess
import sys
from collections.abc import Iterator
from struct import pack
from typing import get_args

import pytest

from l0_surgical.robot.control.records import (
    Float64MultiArray,
    JointState,
    Joy,
    OperatingState,
    PoseStamped,
    Record,
    String,
)
from l0_surgical.robot.messaging.cdr import LONGEST_TEXT, decode, decode_received, encode
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.definitions import DEFINITIONS, schema, type_hash
from l0_surgical.robot.messaging.messages import message_class, type_name
from l0_surgical.system.errors import BadInputError
from tests.robot.messaging.domains import DOMAIN
from tests.robot.messaging.examples import EXAMPLES, HEADER, LITTLE_ENDIAN, PAD_2, PAD_4

PARAMETERS = [pytest.param(*example, id=name) for name, example in EXAMPLES.items()]


@pytest.fixture(scope="module")
def transport() -> Iterator[DdsTransport]:
    with DdsTransport(DOMAIN) as transport:
        yield transport


def test_there_is_an_example_of_every_record() -> None:
    assert {type(record) for record, _ in EXAMPLES.values()} == set(get_args(Record))


@pytest.mark.parametrize(("record", "data"), PARAMETERS)
def test_records_become_the_bytes_of_ros_2_and_back(
    transport: DdsTransport, record: Record, data: bytes
) -> None:
    assert encode(record).hex(" ") == data.hex(" ")
    assert transport.serialize(record) == data
    assert decode(type(record), data) == record
    assert decode_received(type(record), data) == record


@pytest.mark.parametrize(("record", "data"), PARAMETERS)
def test_what_dds_is_told_of_the_layout_fits_the_bytes(record: Record, data: bytes) -> None:
    """cyclonedds' own encoder, by the description that it announces, against the same bytes."""
    assert message_class(record.TYPE).deserialize(data).serialize(use_version_2=False).hex(" ") == data.hex(
        " "
    )


def test_what_dds_is_told_of_the_fields() -> None:
    values = {}
    for name, (record, data) in EXAMPLES.items():
        values[name] = message_class(record.TYPE).deserialize(data)
    pose = values["PoseStamped"]
    assert (pose.header.stamp.sec, pose.header.stamp.nanosec, pose.header.frame_id) == (
        1_234_567_890,
        987_654_321,
        "PSM1_base",
    )
    assert (pose.pose.position.x, pose.pose.position.z, pose.pose.orientation.x, pose.pose.orientation.w) == (
        0.01,
        -0.1135,
        0.1,
        0.9,
    )
    assert (values["TwistStamped"].twist.linear.x, values["TwistStamped"].twist.angular.z) == (1.0, 6.0)
    assert (values["WrenchStamped"].wrench.force.x, values["WrenchStamped"].wrench.torque.z) == (-1.0, 0.6)
    joints = values["JointState"]
    assert (joints.name, joints.position, joints.velocity, joints.effort) == (
        ["yaw", "pitch"],
        [0.25, -0.5],
        [0.125],
        [],
    )
    whole, fixture = values["CartesianState"], values["CartesianImpedance"]
    assert (whole.pose.orientation.w, whole.twist.linear.x, whole.wrench.torque.z) == (0.9, 1.0, 0.6)
    assert (whole.pose_is_valid.data, whole.twist_is_valid.data, whole.wrench_is_valid.data) == (
        True,
        False,
        True,
    )
    assert (fixture.force_orientation.w, fixture.force_position.z, fixture.torque_orientation.x) == (
        0.9,
        -0.1135,
        0.4,
    )
    assert (
        fixture.position_positive.p.x,
        fixture.position_negative.d.x,
        fixture.orientation_negative.deadband.z,
    ) == (1.0, 16.0, 48.0)
    assert (values["Joy"].axes, values["Joy"].buttons) == ([0.5, -0.25], [1, -2, 3])
    state = values["OperatingState"]
    assert (state.state, state.is_homed, state.is_busy) == ("ENABLED", True, False)
    assert (values["StringStamped"].string, values["String"].data, values["Bool"].data) == (
        "home",
        "1 µm",
        True,
    )
    assert (values["Float64"].data, values["Float64MultiArray"].data) == (-2.5, [1.5, -2.5, 3.5])


def test_big_endian_bytes_are_read() -> None:
    data = bytes.fromhex("00 00 00 00") + pack(">iII", 1, 2, 2) + b"a\0" + PAD_2 + pack(">7d", *range(7))
    assert decode(PoseStamped, data) == PoseStamped(1_000_000_002, "a", (0.0, 1.0, 2.0), (3.0, 4.0, 5.0, 6.0))


def test_an_array_with_a_layout_is_read() -> None:
    dimensions = (
        pack("<I", 2)
        + pack("<I", 5)
        + b"rows\0"
        + bytes(3)
        + pack("<II", 2, 6)
        + pack("<I", 4)
        + b"col\0"
        + pack("<II", 3, 3)
    )
    data = LITTLE_ENDIAN + dimensions + pack("<I", 0) + pack("<I", 2) + pack("<dd", 1.5, 2.5)
    assert message_class(Float64MultiArray.TYPE).deserialize(data).layout.dim[1].label == "col"
    assert decode(Float64MultiArray, data) == Float64MultiArray((1.5, 2.5), (2, 3))


def test_a_matrix_has_the_layout_of_the_dvrk() -> None:
    matrix = Float64MultiArray((1.5, -2.5), (2, 1))
    rows = pack("<I", 5) + b"rows\0" + bytes(3) + pack("<II", 2, 1)
    columns = pack("<I", 5) + b"cols\0" + bytes(3) + pack("<II", 1, 2)
    data = (
        LITTLE_ENDIAN
        + pack("<I", 2)
        + rows
        + columns
        + pack("<I", 0)
        + pack("<I", 2)
        + PAD_4
        + pack("<dd", 1.5, -2.5)
    )
    assert encode(matrix).hex(" ") == data.hex(" ")
    assert decode(Float64MultiArray, data) == matrix
    assert message_class(Float64MultiArray.TYPE).deserialize(data).serialize(use_version_2=False) == data


def test_a_layout_that_is_no_matrix_is_left_out() -> None:
    data = (
        LITTLE_ENDIAN
        + pack("<I", 1)
        + pack("<I", 2)
        + b"x\0"
        + PAD_2
        + pack("<III", 1, 1, 0)
        + pack("<I", 1)
        + PAD_4
        + pack("<d", 0.5)
    )
    assert message_class(Float64MultiArray.TYPE).deserialize(data).data == [0.5]
    assert decode(Float64MultiArray, data) == Float64MultiArray((0.5,))


@pytest.mark.parametrize("stamp_ns", [0, 999_999_999, (2**31 - 1) * 1_000_000_000 + 999_999_999])
def test_stamps_of_zero_to_the_last_of_2038(stamp_ns: int) -> None:
    record = PoseStamped(stamp_ns, "", (0.0,) * 3, (0.0,) * 4)
    assert decode(PoseStamped, encode(record)) == record


def test_numbers_that_are_not_finite_pass() -> None:
    """They are the safety filter's to refuse; it must see them."""
    record = decode(PoseStamped, encode(PoseStamped(1, "", (math.nan, math.inf, -math.inf), (0.0,) * 4)))
    assert math.isnan(record.position[0])
    assert record.position[1:] == (math.inf, -math.inf)


@pytest.mark.parametrize("name", EXAMPLES)
def test_too_few_bytes_are_refused(name: str) -> None:
    record, data = EXAMPLES[name]
    for size in range(len(data)):
        for reading in (decode, decode_received):
            with pytest.raises(BadInputError, match=record.TYPE):
                reading(type(record), data[:size])


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("PSM1_base", "PSM1_base"),
        ("x" * LONGEST_TEXT, "x" * LONGEST_TEXT),
        ("x" * 1_000_000, "x" * (LONGEST_TEXT - 3) + "..."),
        ("\N{GRINNING FACE}" * 1000, "\N{GRINNING FACE}" * (LONGEST_TEXT - 3) + "..."),
        ("ENABLED\n\x1b[2JFAULT\x00", "ENABLED  [2JFAULT "),
        ("", ""),
    ],
)
def test_a_text_from_the_network_becomes_a_line(sent: str, received: str) -> None:
    state = OperatingState(1, sent, sent, True, False)
    assert decode_received(OperatingState, encode(state)) == OperatingState(
        1, received, received, True, False
    )
    # a recording's own notes are as they were written
    assert decode(OperatingState, encode(state)) == state


def test_an_array_from_the_network_is_no_longer_than_one_of_an_arm() -> None:
    for fields in ((("",) * 65, ()), ((), (0.0,) * 65)):
        with pytest.raises(BadInputError, match="an array of 65; an arm sends at most 64"):
            decode_received(JointState, encode(JointState(1, "", *fields)))
    for fields in (((0.0,) * 65, ()), ((), (0,) * 65)):
        with pytest.raises(BadInputError, match="an array of 65; an arm sends at most 64"):
            decode_received(Joy, encode(Joy(1, "", *fields)))
    assert decode_received(JointState, encode(JointState(1, "", (), (0.0,) * 64))).position == (0.0,) * 64


def test_a_text_that_is_not_utf_8_is_read_as_far_as_it_can() -> None:
    assert decode(String, LITTLE_ENDIAN + pack("<I", 5) + b"1 \xb5m\0") == String(
        "1 \N{REPLACEMENT CHARACTER}m"
    )


def test_a_count_beyond_the_data_is_refused() -> None:
    with pytest.raises(BadInputError, match="damaged"):
        decode(Float64MultiArray, LITTLE_ENDIAN + pack("<III", 0, 0, 2**32 - 1) + PAD_4 + bytes(8))


def test_another_encoding_is_refused() -> None:
    with pytest.raises(BadInputError, match="00 07 00 00"):
        decode(PoseStamped, bytes.fromhex("00 07 00 00") + HEADER)


def test_type_names() -> None:
    assert type_name("geometry_msgs/msg/PoseStamped") == "geometry_msgs::msg::dds_::PoseStamped_"
    assert (
        message_class("crtk_msgs/msg/OperatingState").__idl_typename__
        == "crtk_msgs::msg::dds_::OperatingState_"
    )


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        # as rmw_zenoh_cpp and ROS 2 Jazzy's generated code have them
        ("std_msgs/msg/String", "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"),
        ("std_msgs/msg/Header", "f49fb3ae2cf070f793645ff749683ac6b06203e41c891e17701b1cb597ce6a01"),
        ("geometry_msgs/msg/Point", "6963084842a9b04494d6b2941d11444708d892da2f4b09843b9c43f42a7f6881"),
        ("geometry_msgs/msg/Quaternion", "8a765f66778c8ff7c8ab94afcc590a2ed5325a1d9a076ffff38fbce36f458684"),
        ("geometry_msgs/msg/Pose", "d501954e9476cea2996984e812054b68026ae0bfae789d9a10b23daf35cc90fa"),
        ("geometry_msgs/msg/PoseStamped", "10f3786d7d40fd2b54367835614bff85d4ad3b5dab62bf8bca0cc232d73b4cd8"),
        ("sensor_msgs/msg/Joy", "0d356c79cad3401e35ffeb75a96a96e08be3ef896b8b83841d73e890989372c5"),
        (
            "geometry_msgs/msg/TwistStamped",
            "5f0fcd4f81d5d06ad9b4c4c63e3ea51b82d6ae4d0558f1d475229b1121db6f64",
        ),
    ],
)
def test_type_hashes_are_those_of_ros_2(message: str, digest: str) -> None:
    assert type_hash(message) == f"RIHS01_{digest}"


def test_a_schema_holds_each_nested_definition_once() -> None:
    parts = schema("geometry_msgs/msg/WrenchStamped").split("=" * 80 + "\n")
    assert parts[0] == "std_msgs/Header header\ngeometry_msgs/Wrench wrench\n"
    assert [part.splitlines()[0] for part in parts[1:]] == [
        "MSG: std_msgs/Header",
        "MSG: builtin_interfaces/Time",
        "MSG: geometry_msgs/Wrench",
        "MSG: geometry_msgs/Vector3",
    ]
    assert schema("std_msgs/msg/Empty") == ""
    assert {record.TYPE for record in get_args(Record)} <= set(DEFINITIONS)


AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import get_args
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging.messages import sample_class
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda number: [sample_class(record_type) for record_type in get_args(Record)], range(8)))
sys.exit(any(classes != found[0] for classes in found))
"""


def test_threads_that_open_transports_at_once_get_the_same_types() -> None:
    """Of two types of one name DDS would refuse the second. In a process of its own, which has made none
    yet."""
    assert subprocess.run([sys.executable, "-c", AT_ONCE], check=False, timeout=60).returncode == 0
