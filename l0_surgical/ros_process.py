"""Running one rclpy node as a process: parameters from a table, errors as one line, an orderly end on SIGINT and SIGTERM.

Works with the API that ROS 2 Humble and Jazzy share. rclpy comes with a ROS 2 installation and is imported where it is needed.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from l0_surgical.errors import BadInputError, L0SurgicalError
from l0_surgical.stopping import Stop

if TYPE_CHECKING:
    import rclpy.node

SPIN_TIMEOUT_S = 0.1


class ClosingNode(Protocol):
    """What `run_node` asks of an rclpy node beyond being one."""

    def close(self) -> None:
        """Stops threads and releases what was opened, while ROS still works; called once."""


@dataclass(frozen=True)
class NodeParameter:
    """A ROS parameter: its name, its default, which also fixes its type, and what `ros2 param describe` says of it."""

    name: str
    default: str | float | int | bool
    description: str


def declare_parameters(node: "rclpy.node.Node", parameters: Sequence[NodeParameter]) -> None:
    """Declares `parameters` on `node`.

    Raises:
        BadInputError: a value from the command line, a YAML file or a launch file has another type than the default.
    """
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException

    for parameter in parameters:
        # a rate written as 200 and not 200.0 is an integer to ROS
        descriptor = ParameterDescriptor(description=parameter.description, dynamic_typing=isinstance(parameter.default, float))
        try:
            node.declare_parameter(parameter.name, parameter.default, descriptor)
        except InvalidParameterTypeException as error:
            raise BadInputError(f"parameter {parameter.name}: {error}; pass a {type(parameter.default).__name__}") from error


def parameter_values(node: "rclpy.node.Node", parameters: Sequence[NodeParameter]) -> dict[str, Any]:
    """The present values of declared `parameters` by their names.

    Raises:
        BadInputError: a number is asked for and something else was passed.
    """
    values = {}
    for parameter in parameters:
        value = node.get_parameter(parameter.name).value
        if isinstance(parameter.default, float):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BadInputError(f"parameter {parameter.name} is {value!r}; pass a number such as {parameter.default}")
            value = float(value)
        values[parameter.name] = value
    return values


def run_node(make_node: Callable[[], ClosingNode], arguments: list[str] | None = None) -> int:
    """Spins the node until a signal, a shutdown of ROS, or `SystemExit` from a callback; returns the process's exit code.

    The node is ended by its `close()` while ROS still works, so that it can stop the arm's stream and say goodbye: rclpy's own signal
    handlers would shut ROS down first. A second signal ends the process at once.

    Args:
        make_node: makes the node; a `L0SurgicalError` in it ends the process with one line and the error's exit code.
        arguments: of the process, by default `sys.argv`.
    """
    try:
        import rclpy
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions
    except ImportError as error:
        print(f"this needs rclpy ({error}); source a ROS 2 installation, e.g. /opt/ros/jazzy/setup.bash", file=sys.stderr)  # noqa: T201
        return BadInputError.exit_code
    stop = Stop()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = executor = None
    try:
        with stop.on_signals():
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
