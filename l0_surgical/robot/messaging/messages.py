"""The messages as cyclonedds types, laid out and named as ROS 2 nodes do it, so that both meet on the same
topics.

DDS compares only names and quality of service, never the layout: a field out of place would be delivered with
wrong values.
"""

import functools
import threading
from typing import Any

from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging import cdr
from l0_surgical.robot.messaging.definitions import Field, fields
from l0_surgical.system.errors import BadInputError

# two threads that open transports at once must not make two types of one name: DDS refuses the second
_lock = threading.Lock()


def type_name(message: str) -> str:
    """The name of a message on the wire: "std_msgs/msg/Bool" gives "std_msgs::msg::dds_::Bool_"."""
    package, kind, name = message.split("/")
    return f"{package}::{kind}::dds_::{name}_"


@functools.cache
def message_class(message: str) -> type:
    """The IdlStruct dataclass of a message, e.g. "geometry_msgs/msg/PoseStamped"; nested messages are of the
    classes given for their names.

    Raises:
        BadInputError: cyclonedds is not installed.
    """
    return _idl_struct(message)


def sample_class(record_type: type[Record]) -> type:
    """The type of the samples that DDS writes and reads for records of `record_type`; made by `sample`, with
    the record as `record`.

    To DDS it is described as `message_class` is, but `cdr` makes and reads its bytes: cyclonedds' generic
    encoder, which would also need a Python object per nested message, takes ten times as long
    (benchmarks/dds.py).

    Raises:
        BadInputError: cyclonedds is not installed.
    """
    with _lock:
        return _sample_class(record_type)


@functools.cache
def _sample_class(record_type: type[Record]) -> type:
    described = _idl_struct(record_type.TYPE)

    def serialize(
        self: Any, buffer: None = None, endianness: None = None, use_version_2: bool | None = None
    ) -> bytes:
        return cdr.encode(self.record)

    def deserialize(data: bytes, has_header: bool = True, use_version_2: bool | None = None) -> Any:
        return sample(cdr.decode_received(record_type, data))

    described.serialize = serialize
    described.deserialize = staticmethod(deserialize)
    return described


def sample(record: Record) -> Any:
    """`record` as a sample for a writer of its type."""
    described = sample_class(type(record))
    made = described.__new__(described)
    made.record = record
    return made


def _idl_struct(message: str) -> type:
    try:
        from cyclonedds.idl import make_idl_struct
    except ImportError as error:
        raise BadInputError(
            f"DDS needs the package cyclonedds ({error}); install it with: pip install 'l0_surgical[dds]'"
        ) from error
    # neither keys nor an extensibility annotation: ROS 2's types are final, and others do not match them
    return make_idl_struct(
        message.split("/")[-1],
        type_name(message),
        {field.name: _idl_type(field) for field in fields(message)},
    )


def _idl_type(field: Field) -> object:
    from cyclonedds.idl import types

    primitives = {
        "uint8": types.uint8,
        "int32": types.int32,
        "uint32": types.uint32,
        "float32": types.float32,
        "float64": types.float64,
        "bool": bool,
        "string": str,
    }
    single = message_class(field.type) if field.is_message else primitives[field.type]
    return types.sequence[single] if field.is_sequence else single
