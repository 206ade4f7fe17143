"""The messages as cyclonedds types, laid out and named as ROS 2 nodes do it, so that both meet on the same topics.

DDS compares only names and quality of service, never the layout: a field out of place would be delivered with wrong values.
"""

import functools

from l0_surgical.errors import BadInputError
from l0_surgical.messaging.definitions import Field, fields


def type_name(message: str) -> str:
    """The name of a message on the wire: "std_msgs/msg/Bool" gives "std_msgs::msg::dds_::Bool_"."""
    package, kind, name = message.split("/")
    return f"{package}::{kind}::dds_::{name}_"


@functools.cache
def message_class(message: str) -> type:
    """The IdlStruct dataclass of a message, e.g. "geometry_msgs/msg/PoseStamped"; nested messages are of the classes given for their names.

    Raises:
        BadInputError: cyclonedds is not installed.
    """
    try:
        from cyclonedds.idl import make_idl_struct
    except ImportError as error:
        raise BadInputError(f"DDS needs the package cyclonedds ({error}); install it with: pip install 'l0_surgical[dds]'") from error
    # neither keys nor an extensibility annotation: ROS 2's types are final, and others do not match them
    return make_idl_struct(message.split("/")[-1], type_name(message), {field.name: _idl_type(field) for field in fields(message)})


def _idl_type(field: Field) -> object:
    from cyclonedds.idl import types

    primitives = {
        "uint8": types.uint8,
        "int32": types.int32,
        "uint32": types.uint32,
        "float64": types.float64,
        "bool": bool,
        "string": str,
    }
    single = message_class(field.type) if field.is_message else primitives[field.type]
    return types.sequence[single] if field.is_sequence else single
