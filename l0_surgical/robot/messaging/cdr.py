"""Records to and from the bytes that ROS 2 puts on the wire and into recordings: plain CDR (XCDR version 1),
standard library only.

OMG DDS-XTypes 1.3, section 7.4.1: four bytes say the encoding (00 01: little endian); then each primitive is
aligned to its own size, counted from behind those four. A string is its length with the closing NUL as
uint32, then its bytes; a sequence is its count as uint32, then its elements. Field orders are those of
`definitions`.

Written out by hand, because the servo loop pays for it: cyclonedds' generic encoder takes ten times as long
(benchmarks/dds.py).
"""

import struct
from collections.abc import Callable
from typing import Any

from l0_surgical.robot.control import records
from l0_surgical.robot.control.records import Record
from l0_surgical.system.errors import BadInputError

_NANOSECONDS = 1_000_000_000
_HEADER = b"\x00\x01\x00\x00"
_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}
_START = len(_HEADER)
LONGEST_TEXT = 200
_MOST_ELEMENTS = 64  # the longest array of a PSM is its Jacobian, 6 x 6


def encode(record: Record) -> bytes:
    """The record's CDR bytes, little endian, with the encapsulation header."""
    return bytes(_ENCODERS[type(record)](record))


def decode(record_type: type[Record], data: bytes) -> Record:
    """The record in CDR bytes with the encapsulation header, of either byte order; the inverse of `encode`.

    Raises:
        BadInputError: the bytes are too few, damaged or of another encoding.
    """
    return _decode(record_type, data, _Reader)


def decode_received(record_type: type[Record], data: bytes) -> Record:
    """As `decode`, for what came over the network, where anybody may have sent it: it costs little time and
    room whatever it holds.

    Texts are cut to one line of `LONGEST_TEXT` characters; what no terminal should be shown becomes spaces.

    Raises:
        BadInputError: as `decode`, or an array is longer than any of an arm.
    """
    return _decode(record_type, data, _BoundedReader)


def one_line(text: str) -> str:
    """`text` as one printable line of at most `LONGEST_TEXT` characters."""
    if len(text) <= LONGEST_TEXT and text.isprintable():
        return text
    line = "".join(character if character.isprintable() else " " for character in text[: LONGEST_TEXT + 1])
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 3]}..."


def _decode(record_type: type[Record], data: bytes, reader: "type[_Reader]") -> Record:
    order = _ORDERS.get(bytes(data[:2]))
    if order is None or len(data) < _START:
        raise BadInputError(
            f"a {record_type.TYPE} begins with {data[:_START].hex(' ')!r}; plain CDR begins with 00 00 or "
            "00 01"
        )
    try:
        return _DECODERS[record_type](reader(data, order))
    except struct.error as error:
        raise BadInputError(
            f"a {record_type.TYPE} of {len(data)} bytes is damaged, or its sender has another definition: "
            f"{error}"
        ) from error


def _padding(size: int, alignment: int) -> int:
    """How many bytes bring a message of `size` bytes, header included, to a multiple of `alignment`."""
    return -(size - _START) % alignment


def _stamped(record: Any) -> bytearray:
    seconds, nanoseconds = divmod(record.stamp_ns, _NANOSECONDS)
    frame = record.frame_id.encode() + b"\0"
    return bytearray(struct.pack(f"<4siII{len(frame)}s", _HEADER, seconds, nanoseconds, len(frame), frame))


def _with_doubles(data: bytearray, *values: float) -> bytearray:
    """Adds doubles without a count, the body of a pose, twist or wrench."""
    data += struct.pack(f"<{_padding(len(data), 8)}x{len(values)}d", *values)
    return data


def _with_string(data: bytearray, text: str) -> bytearray:
    raw = text.encode() + b"\0"
    data += struct.pack(f"<{_padding(len(data), 4)}xI{len(raw)}s", len(raw), raw)
    return data


def _with_count(data: bytearray, count: int) -> bytearray:
    data += struct.pack(f"<{_padding(len(data), 4)}xI", count)
    return data


def _with_sequence(data: bytearray, values: tuple[float, ...]) -> bytearray:
    _with_count(data, len(values))
    return _with_doubles(data, *values) if values else data


def _joint_state(record: records.JointState) -> bytearray:
    data = _with_count(_stamped(record), len(record.name))
    for name in record.name:
        _with_string(data, name)
    for values in (record.position, record.velocity, record.effort):
        _with_sequence(data, values)
    return data


def _cartesian_state(record: records.CartesianState) -> bytearray:
    data = _stamped(record)
    for values, is_valid in (
        ((*record.position, *record.orientation), record.pose_is_valid),
        ((*record.linear, *record.angular), record.twist_is_valid),
        ((*record.force, *record.torque), record.wrench_is_valid),
    ):
        _with_doubles(data, *values)
        data += struct.pack("<?", is_valid)
    return data


def _cartesian_impedance(record: records.CartesianImpedance) -> bytearray:
    data = _with_doubles(
        _stamped(record), *record.force_orientation, *record.force_position, *record.torque_orientation
    )
    for gains in (
        record.position_positive,
        record.position_negative,
        record.orientation_positive,
        record.orientation_negative,
    ):
        _with_doubles(data, *gains.p, *gains.d, *gains.bias, *gains.deadband)
    return data


def _joy(record: records.Joy) -> bytearray:
    data = _with_count(_stamped(record), len(record.axes))
    data += struct.pack(f"<{len(record.axes)}f", *record.axes)
    data += struct.pack(f"<I{len(record.buttons)}i", len(record.buttons), *record.buttons)
    return data


def _operating_state(record: records.OperatingState) -> bytearray:
    data = _with_string(_stamped(record), record.state)
    data += struct.pack("<??", record.is_homed, record.is_busy)
    return data


def _multi_array(record: records.Float64MultiArray) -> bytearray:
    """A matrix' layout is the dVRK's (cisst-ros, mtsCISSTToROS): its strides are not those that the message's
    definition tells of."""
    data = _with_count(bytearray(_HEADER), len(record.shape))
    if record.shape:
        rows, columns = record.shape
        for label, size, stride in (("rows", rows, 1), ("cols", columns, rows)):
            _with_count(_with_count(_with_string(data, label), size), stride)
    return _with_sequence(_with_count(data, 0), record.data)


_ENCODERS: dict[type, Callable[[Any], bytearray | bytes]] = {
    records.PoseStamped: lambda record: _with_doubles(
        _stamped(record), *record.position, *record.orientation
    ),
    records.TwistStamped: lambda record: _with_doubles(_stamped(record), *record.linear, *record.angular),
    records.WrenchStamped: lambda record: _with_doubles(_stamped(record), *record.force, *record.torque),
    records.JointState: _joint_state,
    records.CartesianState: _cartesian_state,
    records.CartesianImpedance: _cartesian_impedance,
    records.Joy: _joy,
    records.OperatingState: _operating_state,
    records.StringStamped: lambda record: _with_string(_stamped(record), record.string),
    records.String: lambda record: _with_string(bytearray(_HEADER), record.data),
    records.Bool: lambda record: struct.pack("<4s?", _HEADER, record.data),
    records.Float64: lambda record: struct.pack("<4sd", _HEADER, record.data),
    records.Float64MultiArray: _multi_array,
    # IDL has no empty structures: ROS 2 gives them one byte
    records.Empty: lambda record: struct.pack("<4sB", _HEADER, 0),
}


class _Reader:
    """Takes one value after the other from a message."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._at = _START

    def primitives(self, code: str, size: int, count: int = 1) -> tuple[Any, ...]:
        """`count` primitives of the struct format `code`, each of `size` bytes."""
        at = self._at + _padding(self._at, size)
        self._at = at + size * count
        return struct.unpack_from(f"{self._order}{count}{code}", self._data, at)

    def count(self) -> int:
        return self.primitives("I", 4)[0]

    def boolean(self) -> bool:
        return self.primitives("?", 1)[0]

    def doubles(self, count: int) -> tuple[float, ...]:
        return self.primitives("d", 8, count)

    def elements(self) -> int:
        """How many elements the sequence has that begins here."""
        return self.count()

    def sequence(self) -> tuple[float, ...]:
        count = self.elements()
        # without elements there is no padding for them either
        return self.doubles(count) if count else ()

    def string(self) -> str:
        size = self.count()
        (raw,) = struct.unpack_from(f"{size}s", self._data, self._at)
        self._at += size
        # as rclpy: a text in another character set must not stop a controller
        return raw[:-1].decode(errors="replace")

    def stamp_and_frame(self) -> tuple[int, str]:
        (seconds,) = self.primitives("i", 4)
        return seconds * _NANOSECONDS + self.count(), self.string()

    def shape(self) -> tuple[int, ...]:
        """The sizes of a layout's dimensions; their labels and strides, and the offset, are left out."""
        sizes = []
        for _ in range(self.elements()):
            self.string()
            size, _ = self.primitives("I", 4, 2)
            sizes.append(size)
        self.count()
        return tuple(sizes)


class _BoundedReader(_Reader):
    """Takes no more of a message than an arm would send."""

    def elements(self) -> int:
        count = self.count()
        if count > _MOST_ELEMENTS:
            raise BadInputError(
                f"a message of {len(self._data)} bytes has an array of {count}; an arm sends at most "
                f"{_MOST_ELEMENTS}"
            )
        return count

    def string(self) -> str:
        size, start = self.count(), self._at
        self._at += size
        if self._at > len(self._data):
            raise struct.error(f"a text of {size} bytes from byte {start} on")
        # a character has at most four bytes; one more than the longest shows that the text was cut
        raw = self._data[start : min(self._at - 1, start + 4 * (LONGEST_TEXT + 1))]
        return one_line(raw.decode(errors="replace"))


def _vectors(record_type: type, *sizes: int) -> Callable[[_Reader], Record]:
    """A decoder of a stamp, a frame and vectors of the given sizes."""

    def decode_stamped(reader: _Reader) -> Record:
        return record_type(*reader.stamp_and_frame(), *(reader.doubles(size) for size in sizes))

    return decode_stamped


def _to_joint_state(reader: _Reader) -> Record:
    stamp_and_frame = reader.stamp_and_frame()
    names = tuple(reader.string() for _ in range(reader.elements()))
    return records.JointState(
        *stamp_and_frame, names, reader.sequence(), reader.sequence(), reader.sequence()
    )


def _to_cartesian_state(reader: _Reader) -> Record:
    stamp_and_frame = reader.stamp_and_frame()
    pose = reader.doubles(3), reader.doubles(4), reader.boolean()
    twist = reader.doubles(3), reader.doubles(3), reader.boolean()
    wrench = reader.doubles(3), reader.doubles(3), reader.boolean()
    return records.CartesianState(*stamp_and_frame, *pose, *twist, *wrench)


def _to_cartesian_impedance(reader: _Reader) -> Record:
    fixture = *reader.stamp_and_frame(), reader.doubles(4), reader.doubles(3), reader.doubles(4)
    gains = (records.HalfPlaneGains(*(reader.doubles(3) for _ in range(4))) for _ in range(4))
    return records.CartesianImpedance(*fixture, *gains)


def _to_joy(reader: _Reader) -> Record:
    stamp_and_frame = reader.stamp_and_frame()
    return records.Joy(
        *stamp_and_frame,
        reader.primitives("f", 4, reader.elements()),
        reader.primitives("i", 4, reader.elements()),
    )


def _to_array(reader: _Reader) -> Record:
    shape = reader.shape()
    return records.Float64MultiArray(reader.sequence(), shape if len(shape) == 2 else ())


def _to_empty(reader: _Reader) -> Record:
    reader.primitives("B", 1)
    return records.Empty()


_DECODERS: dict[type, Callable[[_Reader], Record]] = {
    records.PoseStamped: _vectors(records.PoseStamped, 3, 4),
    records.TwistStamped: _vectors(records.TwistStamped, 3, 3),
    records.WrenchStamped: _vectors(records.WrenchStamped, 3, 3),
    records.JointState: _to_joint_state,
    records.CartesianState: _to_cartesian_state,
    records.CartesianImpedance: _to_cartesian_impedance,
    records.Joy: _to_joy,
    records.OperatingState: lambda reader: records.OperatingState(
        *reader.stamp_and_frame(), reader.string(), reader.boolean(), reader.boolean()
    ),
    records.StringStamped: lambda reader: records.StringStamped(*reader.stamp_and_frame(), reader.string()),
    records.String: lambda reader: records.String(reader.string()),
    records.Bool: lambda reader: records.Bool(reader.boolean()),
    records.Float64: lambda reader: records.Float64(*reader.doubles(1)),
    records.Float64MultiArray: _to_array,
    records.Empty: _to_empty,
}
