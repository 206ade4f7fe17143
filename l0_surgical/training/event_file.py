"""A file of events that TensorBoard draws."""

import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_numbers = itertools.count()


class EventFile:
    """Written by the caller's thread, unlike TensorBoard's own writers, so that what the disk refuses is the
    caller's to handle.

    Args:
        folder: of a run; made if it is not there.
        purge_step: TensorBoard hides what older files of the folder hold of this and later steps.

    Attributes:
        path: the file.

    Raises:
        OSError: as do all methods.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        folder.mkdir(exist_ok=True)
        who = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self.path = folder / f"events.out.tfevents.{int(time.time()):010d}.{who}"
        self._records = RecordWriter(self.path.open("xb"))
        self._write(file_version="brain.Event:2")
        self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one point to the curve of each name."""
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=points))

    def flush(self) -> None:
        """Hands everything to the system."""
        self._records.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._records.close()

    def _write(self, **content: Any) -> None:
        self._records.write(Event(wall_time=time.time(), **content).SerializeToString())
