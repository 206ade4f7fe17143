"""The folder of a training run: configuration, metrics, checkpoint, policies and summary.

config.json          every setting            metrics.csv, tensorboard/   one row per member and round
demonstrations.npz   the expert's episodes    checkpoint.pt               everything needed to go on
policies/*.safetensors, summary.json          written when the run is finished unevaluated/*.safetensors
what the members have learned that stopped, or could not be evaluated
"""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from l0_surgical.settings.training import TrainingConfig, as_dict, from_dict
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import WriteError, atomic_write, made_folder, make_folder
from l0_surgical.system.locks import WorkLock
from l0_surgical.training.event_file import EventFile
from l0_surgical.training.metrics_file import MetricsFile

_LABELS = {"round", "member", "seed", "regularizer", "coefficient"}


class RunFolder:
    """Reads and writes one run; every file but the metrics is replaced atomically. `create` and `open` keep
    other processes out.

    Attributes:
        is_kept: whether an error leaves a new run in its folder, to be resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.demonstrations = path / "demonstrations.npz"
        self.checkpoint = path / "checkpoint.pt"
        self._metrics_path = path / "metrics.csv"
        self.is_kept = False
        self._files = contextlib.ExitStack()

    @classmethod
    @contextlib.contextmanager
    def create(cls, path: Path, config: TrainingConfig) -> Iterator["RunFolder"]:
        """Starts a new run. If an error comes before `keep` was called, nothing is left of it: the same
        folder can be used again.

        Raises:
            BadInputError: the folder holds a run already (nothing is overwritten), another process works in
            it, or it cannot be written.
        """
        folder = cls(path)
        with made_folder(path), folder._locked("choose another --out"), folder._files:
            if (path / "config.json").exists():
                raise BadInputError(
                    f"{path} holds a run already; resume it with --resume {path} or choose another --out"
                )
            try:
                folder.write_json("config.json", as_dict(config))
                yield folder
            except Exception:
                if not folder.is_kept:
                    folder._remove_files()
                raise

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[tuple["RunFolder", TrainingConfig]]:
        """Opens a run to resume it.

        Raises:
            BadInputError: there is no run, another process works in it, or its configuration cannot be read.
        """
        file = path / "config.json"
        if not file.is_file():
            raise BadInputError(
                f"{path} holds no run to resume (no config.json); start one with --out {path}"
            )
        folder = cls(make_folder(path))
        folder.keep()
        with folder._locked("resume it later"), folder._files:
            try:
                config = from_dict(json.loads(file.read_bytes()))
            except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
                raise BadInputError(
                    f"cannot read {file} ({error}); train anew into another folder"
                ) from error
            yield folder, config

    def keep(self) -> None:
        """From now on the run can be resumed, whatever happens."""
        self.is_kept = True

    def write_json(self, name: str, data: dict[str, Any]) -> None:
        """Writes a JSON file of the run."""
        with atomic_write(self.path / name) as file:
            file.write((json.dumps(data, indent=2) + "\n").encode())

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replaces the checkpoint; if the disk is full the one before survives."""
        buffer = io.BytesIO()  # torch.save hides the disk's errors behind its own
        torch.save(state, buffer)
        with atomic_write(self.checkpoint) as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, its tensors on the CPU, or None if the run stopped before its first.

        Raises:
            BadInputError: it cannot be read.
        """
        if not self.checkpoint.exists():
            return None
        try:
            return torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        except Exception as error:  # torch.load raises many kinds for a damaged file
            kind = type(error).__name__
            raise BadInputError(
                f"{self.checkpoint} is damaged ({kind}); delete it to start the run from its beginning"
            ) from error

    def open_metrics(self, rounds: int, columns: Sequence[str]) -> None:
        """Opens the metrics for appending after the first `rounds` rounds; later rows, of work to be done
        again, are dropped.

        Raises:
            WriteError: the disk is full.
        """
        with _writing(self._metrics_path):
            self._metrics = self._files.enter_context(
                _closing_quietly(MetricsFile(self._metrics_path, rounds, columns))
            )
        with _writing(self.path / "tensorboard"):
            self._events = self._files.enter_context(
                _closing_quietly(EventFile(self.path / "tensorboard", rounds))
            )

    def log(self, rows: Sequence[dict[str, Any]]) -> None:
        """Appends one row per member to metrics.csv and TensorBoard's events, and hands them to the system;
        what is None stays empty.

        Raises:
            WriteError: the disk is full.
        """
        with _writing(self._metrics_path):
            self._metrics.add(rows)
            self._metrics.flush()
        with _writing(self._events.path):
            for row in rows:
                known = {
                    name: value for name, value in row.items() if name not in _LABELS and value is not None
                }
                self._events.add(
                    row["round"], {f"{name}/member{row['member']}": value for name, value in known.items()}
                )
            self._events.flush()

    def policy_path(self, name: str) -> Path:
        """Where the policy of the member `name` is saved."""
        return self.path / "policies" / f"{name}.safetensors"

    def unevaluated_path(self, name: str) -> Path:
        """Where the policy of the member `name` is saved if there is nothing that says how well it does."""
        return self.path / "unevaluated" / f"{name}.safetensors"

    def _locked(self, remedy: str) -> WorkLock:
        return WorkLock(self.path / ".lock", "training", self.path, remedy)

    def _remove_files(self) -> None:
        for file in (self.path / "config.json", self.demonstrations, self._metrics_path):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error, kept=False) from error


@contextlib.contextmanager
def _closing_quietly(file: Any) -> Iterator[Any]:
    """Closes `file` at the end. Everything was flushed by then; what a full disk has not taken was an error
    there."""
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()
