"""The transport over rclpy (Humble and Jazzy), for a node of ROS 2 or, with one of its own, for the command
line.

Messages cross rclpy as bytes that `cdr` makes and reads, which costs less than rclpy's conversion. The
subscriptions are polled like those of DDS and kept away from the executor, which needs about 0.4 ms for each
message and lets a control loop's inputs grow old under load. rclpy comes with a ROS 2 installation.
"""

import functools
import importlib
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from l0_surgical.robot.control.arm import Received
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging import cdr
from l0_surgical.robot.messaging.domain import domain_id
from l0_surgical.robot.messaging.network import confined, interfaces_of_ros
from l0_surgical.robot.messaging.transport import Qos
from l0_surgical.system.errors import BadInputError, L0SurgicalError

if TYPE_CHECKING:
    import rclpy.callback_groups
    import rclpy.context
    import rclpy.node
    import rclpy.publisher
    import rclpy.qos
    import rclpy.subscription

_LOOK_AT_WRITERS_EVERY_NS = 100_000_000
# of a `take` in which others flood the topic: then each message may wait for the middleware's own thread
_LONGEST_TAKE_NS = 20_000_000


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
        raise BadInputError(
            f"{message} is missing ({error}); install the ROS 2 package {package} and source its setup.bash"
        ) from error


class Ros2Transport:
    """Publishers and subscriptions of an rclpy node; see `transport.Transport`.

    Args:
        node: the node, which the caller destroys after `close`. It need not be spun; if it is, then by one of
            `rclpy.executors`.
    """

    def __init__(self, node: "rclpy.node.Node") -> None:
        self._node: rclpy.node.Node | None = node
        self._publishers: list[Ros2Publisher] = []
        self._subscriptions: list[Ros2Subscription] = []
        self._context: rclpy.context.Context | None = None

    @classmethod
    def open(cls, node_name: str = "l0_surgical", domain: int | None = None) -> "Ros2Transport":
        """A transport with a context and a node of its own, which `close` ends; no signal handler is
        installed.

        Args:
            domain: 0 to 232; by default ROS_DOMAIN_ID, or 0 where that is not set.

        Raises:
            BadInputError: rclpy is missing, or the domain is not one of those.
        """
        domain = domain_id(domain)
        try:
            import rclpy
            from rclpy.context import Context
            from rclpy.node import Node
        except ImportError as error:
            raise BadInputError(
                f"the ros2 transport needs rclpy ({error}); source a ROS 2 installation, e.g. "
                "/opt/ros/jazzy/setup.bash, or use the dds one"
            ) from error
        context = Context()
        with confined(interfaces_of_ros()):
            # no arguments: those of this process are not ROS's
            rclpy.init(args=[], context=context, domain_id=domain)
            transport = cls(
                Node(node_name, context=context, enable_rosout=False, start_parameter_services=False)
            )
        transport._context = context
        return transport

    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> "Ros2Publisher":
        """Raises BadInputError for a name that is no ROS topic or a message that is not installed,
        L0SurgicalError after `close`."""
        publisher = Ros2Publisher(self._open_node(), topic, record_type, qos)
        self._publishers.append(publisher)
        return publisher

    def subscription(self, topic: str, record_type: type[Record], qos: Qos) -> "Ros2Subscription":
        """Raises BadInputError for a name that is no ROS topic or a message that is not installed,
        L0SurgicalError after `close`."""
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
        """Ends the publishers and subscriptions, and with `open` also the node and its context."""
        for endpoint in (*self._publishers, *self._subscriptions):
            endpoint.close()
        self._publishers.clear()
        self._subscriptions.clear()
        node, self._node = self._node, None
        if self._context is not None and node is not None:
            node.destroy_node()
            self._context.try_shutdown()

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
        self._writer: Hashable = None
        self._publisher: rclpy.publisher.Publisher | None = _create(
            node.create_publisher, record_type, topic, _ros_qos(qos)
        )

    @property
    def writer(self) -> Hashable:
        """See `transport.Publisher`; rclpy tells it only by the node's name: None while another node has
        that, too."""
        if self._writer is None and self._publisher is not None:
            name = self._node.get_name(), self._node.get_namespace()
            publishers = self._node.get_publishers_info_by_topic(self._publisher.topic_name)
            own = [
                bytes(publisher.endpoint_gid)
                for publisher in publishers
                if (publisher.node_name, publisher.node_namespace) == name
            ]
            self._writer = own[0] if len(own) == 1 else None
        return self._writer

    def publish(self, record: Record) -> None:
        """Raises BadInputError for a record of another type than the topic's, L0SurgicalError when the
        transport is closed."""
        if type(record) is not self._record_type:
            raise BadInputError(
                f"{self.topic} carries {self._record_type.__name__}, not {type(record).__name__}"
            )
        if self._publisher is None:
            raise L0SurgicalError(f"{self.topic}: this ROS 2 transport is closed; open a new one")
        self._publisher.publish(cdr.encode(record))

    def peers(self) -> int:
        return self._publisher.get_subscription_count() if self._publisher else 0

    def refusal(self) -> str | None:
        """None: rclpy warns of it by itself."""
        return None

    def close(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


class Ros2Subscription:
    """A reliable rclpy subscription of one topic; see `transport.Subscription`.

    rclpy does not tell who sent a message: `Received.writer` is the topic's only writer, and None while there
        are several.
    """

    def __init__(self, node: "rclpy.node.Node", topic: str, record_type: type[Record], qos: Qos) -> None:
        self.topic = topic
        self._record_type = record_type
        self._node = node
        self._depth = qos.depth
        self._writers: frozenset[Hashable] = frozenset()
        self._only_writer: Hashable = None
        self._count = 0
        self._look_again_ns = 0
        self._subscription: rclpy.subscription.Subscription | None = _create(
            node.create_subscription,
            record_type,
            topic,
            _never_called,
            _ros_qos(qos),
            raw=True,
            callback_group=_polled_group(),
        )

    def take(self) -> list[Received]:
        """See `transport.Subscription`.

        Raises:
            BadInputError: somebody sends messages of another layout under this type's name.
        """
        if self._subscription is None:
            return []
        taken, handle = [], self._subscription.handle
        end_ns = time.monotonic_ns() + _LONGEST_TAKE_NS
        with handle:
            while (
                len(taken) < self._depth
                and (message := handle.take_message(self._subscription.msg_type, True)) is not None
            ):
                now_ns = time.monotonic_ns()
                taken.append((cdr.decode_received(self._record_type, message[0]), now_ns))
                if now_ns > end_ns:
                    break
        if not taken:
            return []
        self.writers()
        return [Received(record, received_ns, self._only_writer) for record, received_ns in taken]

    def writers(self) -> frozenset[Hashable]:
        """See `transport.Subscription`; here all publishers of the topic.

        They are looked up when the number of those matched changes and ten times per second: that costs a
        fraction of a millisecond. ROS 2 may learn the identity of a writer after its first messages; until
        then it counts as a nameless one.
        """
        if self._subscription is None:
            return frozenset()
        count, now_ns = self.peers(), time.monotonic_ns()
        if count != self._count or now_ns >= self._look_again_ns:
            named = {
                bytes(publisher.endpoint_gid)
                for publisher in self._node.get_publishers_info_by_topic(self._subscription.topic_name)
            }
            nameless = {f"nameless {number}" for number in range(count - len(named))}
            self._writers, self._count = frozenset(named | nameless), count
            self._only_writer = next(iter(named)) if len(self._writers) == len(named) == 1 else None
            self._look_again_ns = now_ns if nameless else now_ns + _LOOK_AT_WRITERS_EVERY_NS
        return self._writers

    def peers(self) -> int:
        if self._subscription is None:
            return 0
        # Humble cannot count the matched publishers, only all those of the topic
        matched = getattr(self._subscription, "get_publisher_count", None)
        return matched() if matched else self._node.count_publishers(self.topic)

    def refusal(self) -> str | None:
        """None: rclpy warns of it by itself."""
        return None

    def close(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None


def _polled_group() -> "rclpy.callback_groups.CallbackGroup":
    """A group that gives none of its members to the executor."""
    from rclpy.callback_groups import CallbackGroup

    class Polled(CallbackGroup):
        def can_execute(self, entity: Any) -> bool:
            return False

        def beginning_execution(self, entity: Any) -> bool:
            return False

        def ending_execution(self, entity: Any) -> None: ...

    return Polled()


def _never_called(data: bytes) -> None:
    """rclpy wants a callback."""


def _create(create: Any, record_type: type[Record], topic: str, *arguments: Any, **options: Any) -> Any:
    from rclpy.exceptions import NameValidationException

    try:
        return create(message_class(record_type.TYPE), topic, *arguments, **options)
    except NameValidationException as error:
        raise BadInputError(
            f"{topic!r} is not a ROS topic: it is made of /names of letters, digits and _, e.g. "
            "/PSM1/servo_cp"
        ) from error


def _ros_qos(qos: Qos) -> "rclpy.qos.QoSProfile":
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.transient_local else DurabilityPolicy.VOLATILE,
    )
