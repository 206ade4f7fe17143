"""Running one rclpy node as a process: parameters from a table, errors as one line, an orderly end on a
signal.

Works with the API that ROS 2 Humble and Jazzy share. rclpy comes with a ROS 2 installation and is imported
where it is needed.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from l0_surgical.robot.messaging.network import confined, interfaces_of_ros
from l0_surgical.system.bounds import check_value
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stop

if TYPE_CHECKING:
    import rclpy.node

SPIN_TIMEOUT_S = 0.1
# Ctrl-C at `ros2 launch` reaches a node twice: from the terminal and from launch
REPEAT_S = 1.0
INTERRUPTED = 130


class ClosingNode(Protocol):
    """What `run_node` asks of an rclpy node beyond being one."""

    def close(self) -> None:
        """Stops threads and releases what was opened, while ROS still works; called once."""


@dataclass(frozen=True)
class NodeParameter:
    """A ROS parameter: its name, its default, which also fixes its type, and what `ros2 param describe` says
    of it.

    `kind` is an annotation with the `bounds.Bound` of its value, where it has any.
    """

    name: str
    default: str | float | int | bool
    description: str
    kind: Any = None


def declare_parameters(node: "rclpy.node.Node", parameters: Sequence[NodeParameter]) -> None:
    """Declares `parameters` on `node`.

    Raises:
        BadInputError: a value from the command line, a YAML file or a launch file has another type than the
        default.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException

    for parameter in parameters:
        # a rate written as 200 and not 200.0 is an integer to ROS
        descriptor = ParameterDescriptor(
            description=parameter.description, dynamic_typing=isinstance(parameter.default, float)
        )
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor)
        except InvalidParameterTypeException as error:
            raise BadInputError(
                f"parameter {parameter.name}: {error}; pass a {type(parameter.default).__name__}"
            ) from error


def parameter_values(node: "rclpy.node.Node", parameters: Sequence[NodeParameter]) -> dict[str, Any]:
    """The present values of declared `parameters` by their names.

    Raises:
        BadInputError: one is of another type or out of its bounds.
    """
    values = {}
    for parameter in parameters:
        value = node.get_parameter(parameter.name).value
        try:
            check_value(parameter.name, value, parameter.kind or type(parameter.default))
        except BadInputError as error:
            raise BadInputError(f"parameter {str(error).removeprefix('--')}") from None
        values[parameter.name] = type(parameter.default)(value)
    return values


def run_node(make_node: Callable[[], ClosingNode], arguments: list[str] | None = None) -> int:
    """Spins the node until a signal, a shutdown of ROS, or `SystemExit` from a callback; returns the
    process's exit code.

    The node is ended by its `close()` while ROS still works, so that it can stop the arm's stream and say
    goodbye: rclpy's own signal handlers would shut ROS down first. A second signal, later than `REPEAT_S`,
    ends the process at once.

    Args:
        make_node: makes the node; a `L0SurgicalError` in it ends the process with one line and the error's
            exit code.
        arguments: of the process, by default `sys.argv`.
    """
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        remedy = "source a ROS 2 installation, e.g. /opt/ros/jazzy/setup.bash"
        print(f"this needs rclpy ({error}); {remedy}", file=sys.stderr)  # noqa: T201
        return BadInputError.exit_code
    stop = Stop(REPEAT_S)
    try:
        with stop.on_signals():
            return _spin(make_node, arguments, stop)
    except KeyboardInterrupt:
        return INTERRUPTED


def _spin(make_node: Callable[[], ClosingNode], arguments: list[str] | None, stop: Stop) -> int:
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    node = executor = None
    try:
        with confined(interfaces_of_ros()):
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
            node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.is_set() and rclpy.ok():
            executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
    except ExternalShutdownException:
        return 0
    except SystemExit as request:
        return int(request.code or 0)
    except L0SurgicalError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        if executor is not None:
            executor.shutdown()
        if rclpy.ok():
            rclpy.shutdown()
    return 0
