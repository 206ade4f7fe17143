"""Reading the bytes that ROS 2 puts on the wire and into recordings (XCDR version 1), with nothing but the standard library.

OMG DDS-XTypes 1.3, section 7.4.1 (plain CDR): every primitive is aligned to its own size, counted from behind the 4-byte header;
a string is its length with the closing NUL as uint32, then those bytes; a sequence is its count as uint32, then its elements.
"""

import struct
from types import SimpleNamespace
from typing import Any

from l0_surgical.errors import BadInputError
from l0_surgical.messaging.definitions import Field, fields

_HEADER_SIZE = 4
_FORMATS = {"uint8": "B", "int32": "i", "uint32": "I", "float64": "d", "bool": "?"}
_ORDERS = {0: ">", 1: "<"}


def decode(message: str, data: bytes) -> SimpleNamespace:
    """The fields of a message, by attribute and nested as in ROS 2's own classes.

    Args:
        message: full name, e.g. "geometry_msgs/msg/PoseStamped".
        data: the bytes with the encapsulation header.

    Raises:
        BadInputError: the bytes are too few or of another encoding.
    """
    if len(data) < _HEADER_SIZE or data[0] != 0 or data[1] not in _ORDERS:
        raise BadInputError(f"a {message} begins with the bytes {data[:_HEADER_SIZE].hex(' ')}; plain CDR begins with 00 00 or 00 01")
    try:
        return _Reader(data, _ORDERS[data[1]]).message(message)
    except (struct.error, UnicodeDecodeError) as error:
        raise BadInputError(f"a {message} of {len(data)} bytes is damaged: {error}") from error


class _Reader:
    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._position = _HEADER_SIZE

    def message(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(**{field.name: self._field(field) for field in fields(name)})

    def _field(self, field: Field) -> Any:
        if not field.is_sequence:
            return self._single(field)
        (count,) = self._primitives("I")
        if field.type == "string" or field.is_message:
            return [self._single(field) for _ in range(count)]
        return list(self._primitives(_FORMATS[field.type], count))

    def _single(self, field: Field) -> Any:
        if field.is_message:
            return self.message(field.type)
        if field.type == "string":
            return self._string()
        (value,) = self._primitives(_FORMATS[field.type])
        return value

    def _string(self) -> str:
        (size,) = self._primitives("I")
        raw = struct.unpack_from(f"{size}s", self._data, self._position)[0]
        self._position += size
        return raw.rstrip(b"\0").decode()

    def _primitives(self, code: str, count: int = 1) -> tuple[Any, ...]:
        if not count:
            return ()
        size = struct.calcsize(f"<{code}")
        self._position += -(self._position - _HEADER_SIZE) % size
        values = struct.unpack_from(f"{self._order}{count}{code}", self._data, self._position)
        self._position += size * count
        return values
