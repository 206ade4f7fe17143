"""The transport that needs no ROS installation: cyclonedds writers and readers that match those of ROS 2
nodes.

A ROS topic "/PSM1/servo_cp" is the DDS topic "rt/PSM1/servo_cp". Readers are polled; nothing of this runs in
a thread of Python's.
"""

import re
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from l0_surgical.robot.control.arm import Received
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging import cdr
from l0_surgical.robot.messaging.definitions import type_hash
from l0_surgical.robot.messaging.domain import domain_id
from l0_surgical.robot.messaging.messages import sample, sample_class
from l0_surgical.robot.messaging.network import Discovery, configuration, confined, interfaces_of
from l0_surgical.robot.messaging.transport import Qos
from l0_surgical.system.errors import BadInputError, L0SurgicalError

if TYPE_CHECKING:
    import cyclonedds.domain
    import cyclonedds.pub
    import cyclonedds.qos
    import cyclonedds.sub
    import cyclonedds.topic

_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_WRITE_TIMEOUT_NS = 10_000_000


@dataclass
class _OpenDomain:
    """A DDS domain of this process and how many transports use it: its configuration is fixed when it is
    created."""

    domain: "cyclonedds.domain.Domain"
    configuration: str
    users: int = 0


_open_domains: dict[int, _OpenDomain] = {}
_lock = threading.Lock()


class DdsTransport:
    """A DDS participant with its writers and readers; see `transport.Transport`.

    Args:
        domain: 0 to 232; by default ROS_DOMAIN_ID, or 0 where that is not set.
        discovery: "localhost" finds participants on this machine only, in either start order, without
            multicast; a ROS 2 node needs ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST. "subnet" finds them by
            multicast, as ROS 2 does by default. Where the environment variable CYCLONEDDS_URI is set, that
            configuration is used instead of either.
        interface: the network interface to use with "subnet". What comes by others, or with "localhost" from
            other computers, is dropped.

    Several transports may be open in a process; those in the same domain must have the same discovery, as DDS
    configures it once.

    Raises:
        BadInputError: cyclonedds is missing, the domain, discovery or interface is not one of those, or the
        domain is open with others.
        L0SurgicalError: DDS cannot use the network.
    """

    def __init__(
        self, domain: int | None = None, discovery: Discovery = "localhost", interface: str | None = None
    ) -> None:
        self.domain = domain_id(domain)
        self._endpoints: list[DdsPublisher | DdsSubscription] = []
        self._topics: dict[tuple[str, str], cyclonedds.topic.Topic] = {}
        self._participant: cyclonedds.domain.DomainParticipant | None = _join(
            self.domain, configuration(discovery, interface)
        )

    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> "DdsPublisher":
        """Raises BadInputError for a name that is no ROS topic, L0SurgicalError after `close`."""
        from cyclonedds.pub import DataWriter

        writer = DataWriter(self._joined(), self._topic(topic, record_type), _dds_qos(qos, record_type))
        publisher = DdsPublisher(topic, record_type, writer)
        self._endpoints.append(publisher)
        return publisher

    def subscription(self, topic: str, record_type: type[Record], qos: Qos) -> "DdsSubscription":
        """Raises BadInputError for a name that is no ROS topic, L0SurgicalError after `close`."""
        from cyclonedds.sub import DataReader

        reader = DataReader(self._joined(), self._topic(topic, record_type), _dds_qos(qos, record_type))
        subscription = DdsSubscription(topic, record_type, reader, qos.depth)
        self._endpoints.append(subscription)
        return subscription

    def supports(self, record_type: type[Record]) -> bool:
        """Always true: the messages are defined here."""
        return True

    def serialize(self, record: Record) -> bytes:
        return cdr.encode(record)

    def close(self) -> None:
        """Leaves the domain and says so to the peers; publishers and subscriptions of this transport end with
        it."""
        for endpoint in self._endpoints:
            endpoint.close()
        self._endpoints.clear()
        self._topics.clear()
        if self._participant is not None:
            self._participant = None
            _leave(self.domain)

    def __enter__(self) -> "DdsTransport":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _joined(self) -> "cyclonedds.domain.DomainParticipant":
        if self._participant is None:
            raise L0SurgicalError("this DDS transport is closed; open a new one")
        return self._participant

    def _topic(self, topic: str, record_type: type[Record]) -> "cyclonedds.topic.Topic":
        from cyclonedds.topic import Topic

        if not _TOPIC.fullmatch(topic):
            raise BadInputError(
                f"{topic!r} is not a ROS topic: it is made of /names of letters, digits and _, e.g. "
                "/PSM1/servo_cp"
            )
        key = topic, record_type.TYPE
        if key not in self._topics:
            self._topics[key] = Topic(self._joined(), f"rt{topic}", sample_class(record_type))
        return self._topics[key]


class DdsPublisher:
    """A reliable writer of one topic; see `transport.Publisher`."""

    def __init__(self, topic: str, record_type: type[Record], writer: "cyclonedds.pub.DataWriter") -> None:
        self.topic = topic
        self._record_type = record_type
        self.writer: Hashable = _unsigned(writer.get_instance_handle())
        self._writer: cyclonedds.pub.DataWriter | None = writer

    def publish(self, record: Record) -> None:
        """Sends `record`; waits at most 10 ms, and only while half a megabyte is on its way to a reader that
        takes nothing.

        Raises:
            BadInputError: the record is not of the topic's type.
            L0SurgicalError: the transport is closed, or DDS could not send.
        """
        from cyclonedds.core import DDSException

        if type(record) is not self._record_type:
            raise BadInputError(
                f"{self.topic} carries {self._record_type.__name__}, not {type(record).__name__}"
            )
        if self._writer is None:
            raise L0SurgicalError(f"{self.topic}: this DDS transport is closed; open a new one")
        try:
            self._writer.write(sample(record))
        except DDSException as error:
            raise L0SurgicalError(f"{self.topic}: DDS could not send: {error}") from error

    def peers(self) -> int:
        return self._writer.get_publication_matched_status().current_count if self._writer else 0

    def refusal(self) -> str | None:
        return _refusal(self._writer.get_offered_incompatible_qos_status()) if self._writer else None

    def close(self) -> None:
        self._writer = None


class DdsSubscription:
    """A polled, reliable reader of one topic; see `transport.Subscription`."""

    def __init__(
        self, topic: str, record_type: type[Record], reader: "cyclonedds.sub.DataReader", depth: int
    ) -> None:
        self.topic = topic
        self._sample_class = sample_class(record_type)
        self._reader: cyclonedds.sub.DataReader | None = reader
        self._depth = depth
        self._counts = (0, 0)
        self._writers: frozenset[Hashable] = frozenset()

    def take(self) -> list[Received]:
        """See `transport.Subscription`; empty after the transport's `close`.

        The samples without data, by which DDS tells that a writer has gone, are left out.

        Raises:
            BadInputError: somebody sends messages of another layout under this type's name.
        """
        if self._reader is None:
            return []
        samples = self._reader.take(self._depth)
        if not samples:
            return []
        now = time.monotonic_ns()
        return [
            Received(taken.record, now, taken.sample_info.publication_handle)
            for taken in samples
            if type(taken) is self._sample_class
        ]

    def writers(self) -> frozenset[Hashable]:
        if self._reader is None:
            return frozenset()
        status = self._reader.get_subscription_matched_status()
        # how many have come and how many of them are still there; if this changes, so do the writers, whose
        # list takes far longer to get
        counts = status.total_count, status.current_count
        if counts != self._counts:
            self._counts, self._writers = (
                counts,
                frozenset(map(_unsigned, self._reader.get_matched_publications())),
            )
        return self._writers

    def peers(self) -> int:
        return self._reader.get_subscription_matched_status().current_count if self._reader else 0

    def refusal(self) -> str | None:
        return _refusal(self._reader.get_requested_incompatible_qos_status()) if self._reader else None

    def close(self) -> None:
        self._reader = None


def _unsigned(handle: int) -> int:
    """A handle as samples bear it; entities have it as a signed number."""
    return handle % 2**64


# the policies' numbers in DDS; Cyclone tells of another message type by that of type consistency
_POLICIES = {2: "durability", 11: "reliability", 24: "message type"}


def _refusal(status: Any) -> str | None:
    return (
        _POLICIES.get(status.last_policy_id, f"policy {status.last_policy_id}")
        if status.total_count
        else None
    )


def _join(domain: int, configured: str) -> "cyclonedds.domain.DomainParticipant":
    """A new participant; the first of this process in `domain` also configures the domain."""
    try:
        from cyclonedds.core import DDSException
        from cyclonedds.domain import Domain, DomainParticipant
    except ImportError as error:
        raise BadInputError(
            f"DDS needs the package cyclonedds ({error}); install it with: pip install 'l0_surgical[dds]'"
        ) from error
    with _lock:
        opened = _open_domains.get(domain)
        if opened is not None and opened.configuration != configured:
            raise BadInputError(
                f"this process has DDS domain {domain} open with another discovery or interface; use those "
                "or another domain"
            )
        try:
            with confined(interfaces_of(configured)):
                if opened is None:
                    opened = _open_domains[domain] = _OpenDomain(Domain(domain, configured), configured)
                participant = DomainParticipant(domain)
        except DDSException as error:
            if opened is not None and not opened.users:
                del _open_domains[domain]
            raise L0SurgicalError(
                f"cannot join DDS domain {domain}: {error} Check the network and CYCLONEDDS_URI"
            ) from error
        opened.users += 1
    return participant


def _leave(domain: int) -> None:
    """Forgets one participant of `domain`; with the last one the domain ends, so that it may be configured
    anew."""
    with _lock:
        _open_domains[domain].users -= 1
        if not _open_domains[domain].users:
            # no other name may hold it: DDS deletes the domain, with all in it, when the last one goes, and
            # that must be under the lock
            del _open_domains[domain]


def _dds_qos(qos: Qos, record_type: type[Record]) -> "cyclonedds.qos.Qos":
    """`qos` as ROS 2's Cyclone layer would set it, so that both sides match and keep the same history."""
    from cyclonedds.qos import Policy
    from cyclonedds.qos import Qos as DdsQos

    history = Policy.History.KeepLast(qos.depth)
    unlimited = -1
    policies = [
        Policy.Reliability.Reliable(max_blocking_time=_WRITE_TIMEOUT_NS),
        Policy.Durability.TransientLocal if qos.transient_local else Policy.Durability.Volatile,
        history,
        Policy.DataRepresentation(use_cdrv0_representation=True),
        Policy.WriterDataLifecycle(autodispose=False),
        Policy.Userdata(data=f"typehash={type_hash(record_type.TYPE)};".encode()),
    ]
    if qos.transient_local:
        # what late joiners get; by default a single sample
        policies.append(Policy.DurabilityService(0, history, unlimited, unlimited, unlimited))
    return DdsQos(*policies)
