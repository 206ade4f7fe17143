"""The transport over rclpy (Humble and Jazzy), for a node of ROS 2 or, with one of its own, for the command line.

Messages cross rclpy as bytes that `cdr` makes and reads, which costs less than rclpy's conversion. The executor's thread only puts what
arrives into bounded queues; the subscriptions are polled like those of DDS. rclpy comes with a ROS 2 installation.
"""

import functools
import importlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from l0_surgical.control.arm import Received
from l0_surgical.control.records import Record
from l0_surgical.errors import BadInputError, L0SurgicalError
from l0_surgical.messaging import cdr
from l0_surgical.messaging.domain import domain_id
from l0_surgical.messaging.transport import Qos

if TYPE_CHECKING:
    import rclpy.context
    import rclpy.executors
    import rclpy.node
    import rclpy.publisher
    import rclpy.qos
    import rclpy.subscription

_SPIN_TIMEOUT_S = 0.1


@functools.cache
def message_class(message: str) -> type:
    """The class that ROS 2 generated for a message, e.g. "geometry_msgs/msg/PoseStamped".

    Raises:
        BadInputError: the message's package is not installed or not sourced.
    """
    package, _, name = message.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise BadInputError(f"{message} is missing ({error}); install the ROS 2 package {package} and source its setup.bash") from error


class Ros2Transport:
    """Publishers and subscriptions of an rclpy node; see `transport.Transport`.

    Args:
        node: the node; its executor must be spinning for anything to arrive, and the caller destroys it after `close`.
    """

    def __init__(self, node: "rclpy.node.Node") -> None:
        self._node: rclpy.node.Node | None = node
        self._publishers: list[Ros2Publisher] = []
        self._subscriptions: list[Ros2Subscription] = []
        self._spinning: _Spinning | None = None

    @classmethod
    def open(cls, node_name: str = "l0_surgical", domain: int | None = None) -> "Ros2Transport":
        """A transport with a context, a node and an executor thread of its own, which `close` ends; no signal handler is installed.

        Args:
            domain: 0 to 232; by default ROS_DOMAIN_ID, or 0 where that is not set.

        Raises:
            BadInputError: rclpy is missing, or the domain is not one of those.
        """
        domain = domain_id(domain)
        try:
            spinning = _Spinning(node_name, domain)
        except ImportError as error:
            raise BadInputError(
                f"the ros2 transport needs rclpy ({error}); source a ROS 2 installation, e.g. /opt/ros/jazzy/setup.bash, or use the dds one"
            ) from error
        transport = cls(spinning.node)
        transport._spinning = spinning
        return transport

    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> "Ros2Publisher":
        """Raises BadInputError for a name that is no ROS topic or a message that is not installed, L0SurgicalError after `close`."""
        publisher = Ros2Publisher(self._open_node(), topic, record_type, qos)
        self._publishers.append(publisher)
        return publisher

    def subscription(self, topic: str, record_type: type[Record], qos: Qos) -> "Ros2Subscription":
        """Raises BadInputError for a name that is no ROS topic or a message that is not installed, L0SurgicalError after `close`."""
        subscription = Ros2Subscription(self._open_node(), topic, record_type, qos)
        self._subscriptions.append(subscription)
        return subscription

    def supports(self, record_type: type[Record]) -> bool:
        try:
            message_class(record_type.TYPE)
        except BadInputError:
            return False
        return True

    def serialize(self, record: Record) -> bytes:
        return cdr.encode(record)

    def close(self) -> None:
        """Ends the publishers and subscriptions, and with `open` also the node and its thread."""
        if self._spinning is not None:
            self._spinning.stop()
        for endpoint in (*self._publishers, *self._subscriptions):
            endpoint.close()
        self._publishers.clear()
        self._subscriptions.clear()
        self._node = None
        if self._spinning is not None:
            self._spinning.destroy()
            self._spinning = None

    def __enter__(self) -> "Ros2Transport":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_node(self) -> "rclpy.node.Node":
        if self._node is None:
            raise L0SurgicalError("this ROS 2 transport is closed; open a new one")
        return self._node


class Ros2Publisher:
    """A reliable rclpy publisher of one topic; see `transport.Publisher`."""

    def __init__(self, node: "rclpy.node.Node", topic: str, record_type: type[Record], qos: Qos) -> None:
        self.topic = topic
        self._record_type = record_type
        self._node = node
        self._publisher: rclpy.publisher.Publisher | None = _create(node.create_publisher, record_type, topic, _ros_qos(qos))

    def publish(self, record: Record) -> None:
        """Raises BadInputError for a record of another type than the topic's, L0SurgicalError when the transport is closed."""
        if type(record) is not self._record_type:
            raise BadInputError(f"{self.topic} carries {self._record_type.__name__}, not {type(record).__name__}")
        if self._publisher is None:
            raise L0SurgicalError(f"{self.topic}: this ROS 2 transport is closed; open a new one")
        self._publisher.publish(cdr.encode(record))

    def peers(self) -> int:
        return self._publisher.get_subscription_count() if self._publisher else 0

    def close(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


class Ros2Subscription:
    """A reliable rclpy subscription of one topic behind a queue of the depth of its quality of service; see `transport.Subscription`."""

    def __init__(self, node: "rclpy.node.Node", topic: str, record_type: type[Record], qos: Qos) -> None:
        self.topic = topic
        self._record_type = record_type
        self._node = node
        # appending and taking from the left are atomic, so the executor's thread and the caller's need no lock
        self._arrived: deque[tuple[bytes, int]] = deque(maxlen=qos.depth)
        self._subscription: rclpy.subscription.Subscription | None = _create(
            node.create_subscription, record_type, topic, self._store, _ros_qos(qos), raw=True
        )

    def take(self) -> list[Received]:
        """See `transport.Subscription`; the time is that at which the executor passed the message on.

        Raises:
            BadInputError: somebody sends messages of another layout under this type's name.
        """
        taken = []
        while self._arrived:
            data, received_ns = self._arrived.popleft()
            taken.append(Received(cdr.decode(self._record_type, data), received_ns))
        return taken

    def peers(self) -> int:
        if self._subscription is None:
            return 0
        # Humble cannot count the matched publishers, only all those of the topic
        matched = getattr(self._subscription, "get_publisher_count", None)
        return matched() if matched else self._node.count_publishers(self.topic)

    def close(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._arrived.clear()

    def _store(self, data: bytes) -> None:
        self._arrived.append((data, time.monotonic_ns()))


class _Spinning:
    """A node in a context of its own, spun by a thread of its own."""

    def __init__(self, node_name: str, domain: int) -> None:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node

        self._context: rclpy.context.Context = Context()
        # no arguments: those of this process are not ROS's
        rclpy.init(args=[], context=self._context, domain_id=domain)
        self.node: rclpy.node.Node = Node(node_name, context=self._context, enable_rosout=False, start_parameter_services=False)
        self._executor: rclpy.executors.SingleThreadedExecutor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="rclpy executor", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        # not executor.spin(): Jazzy's executor.shutdown() would take the wait set away from under it
        while not self._stop.is_set() and self._context.ok():
            self._executor.spin_once(timeout_sec=_SPIN_TIMEOUT_S)

    def stop(self) -> None:
        self._stop.set()
        self._executor.wake()
        self._thread.join()

    def destroy(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()


def _create(create: Any, record_type: type[Record], topic: str, *arguments: Any, **options: bool) -> Any:
    from rclpy.exceptions import NameValidationException

    try:
        return create(message_class(record_type.TYPE), topic, *arguments, **options)
    except NameValidationException as error:
        raise BadInputError(f"{topic!r} is not a ROS topic: it is made of /names of letters, digits and _, e.g. /PSM1/servo_cp") from error


def _ros_qos(qos: Qos) -> "rclpy.qos.QoSProfile":
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.transient_local else DurabilityPolicy.VOLATILE,
    )
