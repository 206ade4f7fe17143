"""Every message's layout against the bytes of ROS 2: DDS compares names only, so that a field out of place would go unnoticed."""

from collections.abc import Iterator
from struct import pack
from typing import get_args

import pytest

from l0_surgical.control.records import Float64MultiArray, PoseStamped, Record
from l0_surgical.errors import BadInputError
from l0_surgical.messaging.cdr import decode
from l0_surgical.messaging.codec import to_message, to_record
from l0_surgical.messaging.dds import DdsTransport
from l0_surgical.messaging.definitions import DEFINITIONS, schema, type_hash
from l0_surgical.messaging.messages import message_class, type_name
from tests.messaging.domains import DOMAIN
from tests.messaging.examples import EXAMPLES, HEADER, LITTLE_ENDIAN, PAD_2

PARAMETERS = [pytest.param(*example, id=name) for name, example in EXAMPLES.items()]


@pytest.fixture(scope="module")
def transport() -> Iterator[DdsTransport]:
    with DdsTransport(DOMAIN) as transport:
        yield transport


def test_there_is_an_example_of_every_record() -> None:
    assert {type(record) for record, _ in EXAMPLES.values()} == set(get_args(Record))


@pytest.mark.parametrize(("record", "expected"), PARAMETERS)
def test_records_become_the_bytes_of_ros_2(transport: DdsTransport, record: Record, expected: bytes) -> None:
    assert transport.serialize(record).hex(" ") == expected.hex(" ")


@pytest.mark.parametrize(("record", "data"), PARAMETERS)
def test_the_bytes_of_ros_2_become_records(record: Record, data: bytes) -> None:
    assert to_record(message_class(record.TYPE).deserialize(data), type(record)) == record
    assert to_record(decode(record.TYPE, data), type(record)) == record


def test_big_endian_bytes_are_read() -> None:
    data = bytes.fromhex("00 00 00 00") + pack(">iII", 1, 2, 2) + b"a\0" + PAD_2 + pack(">7d", *range(7))
    expected = PoseStamped(1_000_000_002, "a", (0.0, 1.0, 2.0), (3.0, 4.0, 5.0, 6.0))
    assert to_record(message_class(PoseStamped.TYPE).deserialize(data), PoseStamped) == expected
    assert to_record(decode(PoseStamped.TYPE, data), PoseStamped) == expected


def test_an_array_with_a_layout_is_read() -> None:
    dimensions = pack("<I", 1) + pack("<I", 5) + b"rows\0" + bytes(3) + pack("<II", 2, 6)
    data = LITTLE_ENDIAN + dimensions + pack("<I", 0) + pack("<I", 2) + pack("<dd", 1.5, 2.5)
    message = decode(Float64MultiArray.TYPE, data)
    assert (message.layout.dim[0].label, message.layout.dim[0].size, message.layout.dim[0].stride) == ("rows", 2, 6)
    for read in (message, message_class(Float64MultiArray.TYPE).deserialize(data)):
        assert to_record(read, Float64MultiArray) == Float64MultiArray((1.5, 2.5))


def test_fields_have_the_names_of_ros_2() -> None:
    record, _ = EXAMPLES["PoseStamped"]
    message = to_message(record, message_class)
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (1_234_567_890, 987_654_321, "PSM1_base")
    assert (message.pose.position.z, message.pose.orientation.w) == (-0.1135, 0.9)


def test_a_stamp_of_zero_and_the_last_one_before_2038() -> None:
    for stamp_ns in (0, 999_999_999, (2**31 - 1) * 1_000_000_000 + 999_999_999):
        record = PoseStamped(stamp_ns, "", (0.0,) * 3, (0.0,) * 4)
        assert to_record(to_message(record, message_class), PoseStamped).stamp_ns == stamp_ns


@pytest.mark.parametrize("size", [0, 3, 4, 20, 30, 83])
def test_too_few_bytes_are_refused(size: int) -> None:
    _, data = EXAMPLES["PoseStamped"]
    with pytest.raises(BadInputError, match="PoseStamped"):
        decode(PoseStamped.TYPE, data[:size])


def test_another_encoding_is_refused() -> None:
    with pytest.raises(BadInputError, match="00 07 00 00"):
        decode(PoseStamped.TYPE, bytes.fromhex("00 07 00 00") + HEADER)


def test_type_names() -> None:
    assert type_name("geometry_msgs/msg/PoseStamped") == "geometry_msgs::msg::dds_::PoseStamped_"
    assert message_class("crtk_msgs/msg/OperatingState").__idl_typename__ == "crtk_msgs::msg::dds_::OperatingState_"


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
        ("geometry_msgs/msg/TwistStamped", "5f0fcd4f81d5d06ad9b4c4c63e3ea51b82d6ae4d0558f1d475229b1121db6f64"),
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
