"""A transport within one process, for tests on a stepped clock: what is published can be taken at once, after
a trip through CDR."""

from collections import defaultdict, deque

from l0_surgical.robot.control.arm import Received
from l0_surgical.robot.control.clock import Clock
from l0_surgical.robot.control.records import Record
from l0_surgical.robot.messaging.cdr import decode, encode
from l0_surgical.robot.messaging.transport import Qos


class Broker:
    """What all transports of one "network" share."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.subscriptions: dict[str, list[MemorySubscription]] = defaultdict(list)
        self.publishers: dict[str, list[MemoryPublisher]] = defaultdict(list)


class MemoryPublisher:
    def __init__(self, broker: Broker, topic: str, record_type: type[Record], qos: Qos) -> None:
        self.topic = topic
        self.writer = id(self)
        self._broker = broker
        self._record_type = record_type
        self.kept: deque[Record] = deque(maxlen=qos.depth if qos.transient_local else 0)

    def publish(self, record: Record) -> None:
        assert type(record) is self._record_type, (
            f"{self.topic} carries {self._record_type.__name__}, not {record}"
        )
        same = decode(self._record_type, encode(record))
        self.kept.append(same)
        for subscription in self._broker.subscriptions[self.topic]:
            subscription.hear(same, self.writer)

    def peers(self) -> int:
        return len(self._broker.subscriptions[self.topic])

    def refusal(self) -> None:
        return None


class MemorySubscription:
    def __init__(self, broker: Broker, topic: str, record_type: type[Record], qos: Qos) -> None:
        self.topic = topic
        self._broker = broker
        self._record_type = record_type
        self._queue: deque[Received] = deque(maxlen=qos.depth)
        if qos.transient_local:
            for publisher in broker.publishers[topic]:
                for record in publisher.kept:
                    self.hear(record, publisher.writer)

    def hear(self, record: Record, writer: int) -> None:
        assert type(record) is self._record_type, (
            f"{self.topic} carries {self._record_type.__name__}, not {record}"
        )
        self._queue.append(Received(record, self._broker.clock.now().monotonic_ns, writer))

    def take(self) -> list[Received]:
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def writers(self) -> frozenset[int]:
        return frozenset(publisher.writer for publisher in self._broker.publishers[self.topic])

    def peers(self) -> int:
        return len(self._broker.publishers[self.topic])

    def refusal(self) -> None:
        return None


class MemoryTransport:
    """See `messaging.transport.Transport`; `without` are the record types whose message package is
    missing."""

    def __init__(self, broker: Broker, without: tuple[type[Record], ...] = ()) -> None:
        self._broker = broker
        self._without = without

    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> MemoryPublisher:
        publisher = MemoryPublisher(self._broker, topic, record_type, qos)
        self._broker.publishers[topic].append(publisher)
        return publisher

    def subscription(self, topic: str, record_type: type[Record], qos: Qos) -> MemorySubscription:
        subscription = MemorySubscription(self._broker, topic, record_type, qos)
        self._broker.subscriptions[topic].append(subscription)
        return subscription

    def supports(self, record_type: type[Record]) -> bool:
        return record_type not in self._without

    def serialize(self, record: Record) -> bytes:
        return encode(record)

    def close(self) -> None:
        pass
