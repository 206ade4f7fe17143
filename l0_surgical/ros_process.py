"""Running one rclpy node as a process: parameters from a table, errors as one line, a worker thread, an orderly end on SIGINT and SIGTERM.

Works with the API that ROS 2 Humble and Jazzy share. rclpy comes with a ROS 2 installation and is imported where it is needed.
"""

import dataclasses
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from l0_surgical.errors import BadInputError, L0SurgicalError

if TYPE_CHECKING:
    import rclpy.node

T = TypeVar("T")

SPIN_TIMEOUT_S = 0.1
CALL_TIMEOUT_S = 1.0


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


def status_texts(status: Any, prefix: str = "") -> list[tuple[str, str]]:
    """The fields of a status (a dataclass, with others inside) as the pairs of texts that diagnostics carry: ("period.p99", "0.005")."""
    pairs = []
    for field in dataclasses.fields(status):
        value, name = getattr(status, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            pairs += status_texts(value, f"{name}.")
        else:
            pairs.append((name, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return pairs


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
    stop = _Stop()
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    node = executor = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.asked and rclpy.ok():
            executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
    except ExternalShutdownException:
        return 0
    except SystemExit as request:
        return int(request.code or 0)
    except L0SurgicalError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    finally:
        stop.restore()
        if node is not None:
            node.close()
            node.destroy_node()
        if executor is not None:
            executor.shutdown()
        if rclpy.ok():
            rclpy.shutdown()
    return 0


class Worker:
    """A thread beside the executor's, whose failure is kept for the executor's thread to raise.

    Args:
        name: the thread's.
        work: returns soon after the event it is given has been set.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], object]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what the work has raised."""
        if self._failure is not None:
            raise self._failure

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Asks the work to return and waits until it has."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as error:
            self._failure = error


class Calls:
    """Calls that the executor's thread hands to the worker's, which owns what they touch; so no lock is needed there."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()

    def run_waiting(self) -> None:
        """Makes the calls that have come since; from the worker's thread. What a call raises goes to its caller."""
        while self._waiting:
            function, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except Exception as error:
                    future.set_exception(error)

    def call(self, function: Callable[[], T], timeout_s: float = CALL_TIMEOUT_S) -> T:
        """Returns what `function` returned, or raises what it raised, in the worker's thread.

        Raises:
            L0SurgicalError: the worker has not come to it in time; the call is then never made.
        """
        future: Future[T] = Future()
        self._waiting.append((function, future))
        try:
            return future.result(timeout_s)
        except futures.TimeoutError:
            if future.cancel():
                raise L0SurgicalError(f"the servo loop took no request for {timeout_s:g} s; see the node's log") from None
            return future.result(timeout_s)


class _Stop:
    """SIGINT and SIGTERM ask for the end; the second one ends at once, as without this."""

    def __init__(self) -> None:
        self.asked = False
        self._former = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self.restore()

    def restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
