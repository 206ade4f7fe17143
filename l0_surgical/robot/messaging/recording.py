"""Recordings in the MCAP format with ROS 2's conventions: Foxglove opens them and `ros2 bag` reads them,
without ROS where they are made.

The profile is "ros2", the schemas "ros2msg" with all nested definitions, the messages CDR; channels carry the
quality of service and the type hash as rosbag2 writes them (rosbag2_storage_mcap), so that `ros2 bag play`
offers what the arm offered.
"""

import os
import queue
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

from l0_surgical.robot.control.records import Record, String
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.cdr import decode
from l0_surgical.robot.messaging.definitions import schema, type_hash
from l0_surgical.robot.messaging.transport import TELEMETRY, Qos, Transport
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import make_folder

if TYPE_CHECKING:
    import mcap.writer

_RECORD_TYPES: dict[str, type[Record]] = {record_type.TYPE: record_type for record_type in get_args(Record)}
NOTE_TOPIC = "/l0_surgical/note"
_CHUNK_BYTES = 32 * 1024
_CHUNK_SECONDS = 0.5
_BACKLOG_BYTES = 64 * 1024 * 1024
_PATIENCE_S = 2.0
_LOOK_EVERY_S = 0.001

# rosbag2's YAML with the numbers of rmw's enumerations: keep last, reliable, volatile or transient local; no
# deadline or lifespan
_QOS = """- history: 1
  depth: {depth}
  reliability: 1
  durability: {durability}
  deadline: {{sec: 9223372036, nsec: 854775807}}
  lifespan: {{sec: 9223372036, nsec: 854775807}}
  liveliness: 1
  liveliness_lease_duration: {{sec: 9223372036, nsec: 854775807}}
  avoid_ros_namespace_conventions: false
"""


class Recording:
    """Writes records to an MCAP file that is usable as far as it got, whatever ends the process.

    Messages are gathered to chunks of 32 KiB or half a second; a thread of its own hands each chunk to the
    disk, so that `write` never waits for it. A full disk ends the recording but not the caller's loop:
    `failure` says why, and `close` raises it. The thread inherits its maker's scheduling: make the recording
    after the loop's thread has taken real-time priority, or a loop that needs the interpreter's lock may wait
    for a thread that other processes keep from running.

    Args:
        path: a new file with the ending .mcap; its folder is made.
        transport: whose `serialize` makes the bytes; nothing is sent.

    Raises:
        BadInputError: the file exists, has another ending or cannot be made, or the package mcap is missing.
        L0SurgicalError: the disk does not take its first bytes; no file is left.
    """

    def __init__(self, path: str | Path, transport: Transport) -> None:
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError as error:
            raise BadInputError(_missing_mcap(error)) from error

        self.path = Path(path)
        self._transport = transport
        self._channels: dict[str, _Channel] = {}
        self._schemas: dict[str, int] = {}
        self._chunk_begin_ns: int | None = None
        self._file = _BackgroundFile(_new_file(self.path))
        self._writer: mcap.writer.Writer | None = Writer(
            self._file, chunk_size=_CHUNK_BYTES, compression=CompressionType.NONE
        )
        self._writer.start(profile="ros2", library="l0_surgical")
        self._file.wait()
        if self.failure:
            self._file.close()
            self.path.unlink(missing_ok=True)
            raise L0SurgicalError(f"cannot record to {self.path}: {self.failure}; nothing was begun")

    @property
    def failure(self) -> str | None:
        """Why nothing more is recorded, or None."""
        return self._file.failure

    def write(self, topic: str, record: Record, log_time_ns: int) -> None:
        """Adds one record as said or heard on `topic` at `log_time_ns` (wall clock, nanoseconds since 1970).

        Raises:
            BadInputError: the topic has carried another type of record before.
            L0SurgicalError: the recording is closed.
        """
        if self._writer is None:
            raise L0SurgicalError(f"the recording {self.path} is closed")
        channel = self._channels.get(topic) or self._register(topic, type(record))
        if channel.record_type is not type(record):
            raise BadInputError(
                f"{topic} is recorded as {channel.record_type.__name__}, not {type(record).__name__}"
            )
        channel.count += 1
        self._writer.add_message(
            channel.id, log_time_ns, self._transport.serialize(record), log_time_ns, channel.count
        )
        if self._chunk_begin_ns is None:
            self._chunk_begin_ns = log_time_ns
        elif abs(log_time_ns - self._chunk_begin_ns) > _CHUNK_SECONDS * 1e9:
            self._writer.flush()
            self._chunk_begin_ns = None

    def note(self, text: str, log_time_ns: int | None = None) -> None:
        """Adds a text (std_msgs/String on /l0_surgical/note), e.g. that the controller was armed; by default
        now."""
        self.write(NOTE_TOPIC, String(text), time.time_ns() if log_time_ns is None else log_time_ns)

    def close(self) -> None:
        """Completes the file with its index; harmless when it is closed already.

        Raises:
            L0SurgicalError: the disk did not take all of it; what it took can be read.
        """
        if self._writer is None:
            return
        self._writer.finish()
        self._writer = None
        self._file.close()
        if self._file.failure:
            raise L0SurgicalError(
                f"the recording {self.path} is not complete: {self._file.failure}; what was written can be "
                "read"
            )

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _register(self, topic: str, record_type: type[Record]) -> "_Channel":
        message = record_type.TYPE
        if message not in self._schemas:
            self._schemas[message] = self._writer.register_schema(
                message, "ros2msg", schema(message).encode()
            )
        qos = _qos_of(topic)
        metadata = {
            "offered_qos_profiles": _QOS.format(depth=qos.depth, durability=1 if qos.transient_local else 2),
            "topic_type_hash": type_hash(message),
        }
        channel = _Channel(
            self._writer.register_channel(topic, "cdr", self._schemas[message], metadata), record_type
        )
        self._channels[topic] = channel
        return channel


def read_recording(path: str | Path) -> Iterator[tuple[str, int, Record]]:
    """The topic, log time (ns since 1970) and record of each message, in the order of the file; messages of
    other types are left out.

    A file whose end is missing, as after a kill, is read as far as it goes.

    Raises:
        BadInputError: the file is missing, no MCAP file or damaged, or the package mcap is missing.
    """
    try:
        from mcap.exceptions import McapError
        from mcap.stream_reader import StreamReader
        from mcap.writer import MCAP0_MAGIC
    except ImportError as error:
        raise BadInputError(_missing_mcap(error)) from error

    try:
        with Path(path).open("rb") as file:
            if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
                raise BadInputError(f"{path} is not an MCAP file; give the path of a recording")
            file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
            is_whole = file.read() == MCAP0_MAGIC and file.tell() > len(MCAP0_MAGIC)
            file.seek(0)
            try:
                yield from _messages(StreamReader(file, validate_crcs=True).records)
            except (McapError, ValueError, KeyError, struct.error) as error:
                if is_whole or file.read(1):
                    raise BadInputError(
                        f"the recording {path} is damaged ({error}); `mcap recover` may save a part of it"
                    ) from error
    except OSError as error:
        raise BadInputError(
            f"cannot read the recording {path}: {error.strerror or error}; give the path of a .mcap file"
        ) from error


def _messages(entries: Iterator[object]) -> Iterator[tuple[str, int, Record]]:
    from mcap.records import Channel, Message, Schema

    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, type[Record] | None]] = {}
    for entry in entries:
        if isinstance(entry, Schema):
            schemas[entry.id] = entry.name
        elif isinstance(entry, Channel):
            channels[entry.id] = entry.topic, _RECORD_TYPES.get(schemas.get(entry.schema_id, ""))
        elif isinstance(entry, Message):
            topic, record_type = channels[entry.channel_id]
            if record_type is not None:
                yield topic, entry.log_time, decode(record_type, entry.data)


@dataclass
class _Channel:
    id: int
    record_type: type[Record]
    count: int = 0


class _BackgroundFile:
    """A file whose `write` only queues the bytes; a thread writes them, because a disk may keep a writer
    waiting for long.

    After an error nothing more is written, and `failure` says why.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.failure: str | None = None
        self._file = file
        self._position = 0
        self._written = 0
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        if self.failure is None and self._position - self._written > _BACKLOG_BYTES:
            self.failure = f"the disk is slower than the recording by {_BACKLOG_BYTES >> 20} MiB"
        if self.failure is None:
            self._position += len(data)
            self._queue.put(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing: the file below is not buffered."""

    def wait(self) -> None:
        """Waits until all is written, as long as the disk takes something: one that hangs must not keep a
        program from ending."""
        before, deadline = -1, 0.0
        while self._written < self._position and self.failure is None:
            if before != self._written:
                before, deadline = self._written, time.monotonic() + _PATIENCE_S
            if time.monotonic() > deadline:
                self.failure = f"the disk has taken nothing for {_PATIENCE_S:g} s"
            time.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Ends the thread, which closes the file; one that a disk holds is left behind."""
        self.wait()
        self._queue.put(None)
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        with self._file:
            while (data := self._queue.get()) is not None:
                if self.failure is None:
                    self._write_all(data)

    def _write_all(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                count = self._file.write(rest)
                rest = rest[count:]
                self._written += count
        except OSError as error:
            self.failure = error.strerror or str(error)


def check_new_recording(path: Path) -> None:
    """Judges the path of a recording to be made, before anything else is opened.

    Raises:
        BadInputError: it has another ending or exists already, or its folder cannot be made or written.
    """
    if path.suffix != ".mcap":
        raise BadInputError(
            f"the recording is {str(path)!r}; give it the ending .mcap, by which Foxglove and ros2 bag know "
            "it"
        )
    if os.path.lexists(path):
        raise BadInputError(_existing(path))
    make_folder(path.parent)


def _new_file(path: Path) -> BinaryIO:
    check_new_recording(path)
    try:
        return path.open("xb", buffering=0)
    except FileExistsError as error:
        raise BadInputError(_existing(path)) from error
    except OSError as error:
        raise BadInputError(
            f"cannot make the recording {path}: {error.strerror}; choose another path"
        ) from error


def _existing(path: Path) -> str:
    return (
        f"the recording {path} exists already; it is not overwritten, so choose another name or move it away"
    )


def _qos_of(topic: str) -> Qos:
    """What the arm offers on `topic`; of topics that are not CRTK's, what telemetry has."""
    name = topic.split("/", 2)[-1]
    known = crtk.PUBLISHED.get(name) or crtk.SUBSCRIBED.get(name)
    return known.qos if known else TELEMETRY


def _missing_mcap(error: ImportError) -> str:
    return f"recordings need the package mcap ({error}); install it with: pip install 'l0_surgical[dds]'"
