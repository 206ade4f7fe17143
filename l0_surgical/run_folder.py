"""The folder of a training run: configuration, metrics, checkpoint, policies and summary.

config.json          every setting            metrics.csv, tensorboard/   one row per member and round
demonstrations.npz   the expert's episodes    checkpoint.pt               everything needed to go on
policies/*.safetensors, summary.json          written when the run is finished
unevaluated/*.safetensors                     what the members have learned that stopped, or could not be evaluated
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from l0_surgical.config import TrainingConfig, as_dict, from_dict
from l0_surgical.errors import BadInputError
from l0_surgical.files import atomic_write, make_folder
from l0_surgical.metrics_file import MetricsFile

_LABELS = {"round", "member", "seed", "regularizer", "coefficient"}


class RunFolder:
    """Reads and writes one run; every file but the metrics is replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.demonstrations = path / "demonstrations.npz"
        self._metrics: MetricsFile | None = None
        self._board: SummaryWriter | None = None

    @classmethod
    def create(cls, path: Path, config: TrainingConfig) -> "RunFolder":
        """Starts a new run.

        Raises:
            BadInputError: the folder holds a run already (nothing is overwritten) or cannot be written.
        """
        if (path / "config.json").exists():
            raise BadInputError(f"{path} holds a run already; resume it with --resume {path} or choose another --out")
        make_folder(path)
        folder = cls(path)
        folder.write_json("config.json", as_dict(config))
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple["RunFolder", TrainingConfig]:
        """Opens a run to resume it.

        Raises:
            BadInputError: there is no run, or its configuration cannot be read.
        """
        file = path / "config.json"
        if not file.is_file():
            raise BadInputError(f"{path} holds no run to resume (no config.json); start one with --out {path}")
        try:
            config = from_dict(json.loads(file.read_bytes()))
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BadInputError(f"cannot read {file} ({error}); train anew into another folder") from error
        make_folder(path)
        return cls(path), config

    def write_json(self, name: str, data: dict[str, Any]) -> None:
        """Writes a JSON file of the run."""
        with atomic_write(self.path / name) as file:
            file.write((json.dumps(data, indent=2) + "\n").encode())

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replaces the checkpoint; if the disk is full the one before survives."""
        if self._metrics is not None:
            self._metrics.flush()
        buffer = io.BytesIO()  # torch.save hides the disk's errors behind its own
        torch.save(state, buffer)
        with atomic_write(self.path / "checkpoint.pt") as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, or None if the run stopped before its first.

        Raises:
            BadInputError: it cannot be read.
        """
        file = self.path / "checkpoint.pt"
        if not file.exists():
            return None
        try:
            return torch.load(file, weights_only=True)
        except Exception as error:  # torch.load raises many kinds for a damaged file
            kind = type(error).__name__
            raise BadInputError(f"{file} is damaged ({kind}); delete it to start the run from its beginning") from error

    def open_metrics(self, rounds: int, columns: Sequence[str]) -> None:
        """Opens the metrics for appending after the first `rounds` rounds; later rows, of work to be done again, are dropped."""
        self._metrics = MetricsFile(self.path / "metrics.csv", rounds, columns)
        self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=rounds)

    def log(self, rows: Sequence[dict[str, Any]]) -> None:
        """Appends one row per member to metrics.csv and TensorBoard; what is None stays empty."""
        self._metrics.add(rows)
        for row in rows:
            for name, value in row.items():
                if name not in _LABELS and value is not None:
                    self._board.add_scalar(f"{name}/member{row['member']}", value, row["round"])

    def close(self) -> None:
        """Flushes and closes the metrics."""
        if self._metrics is not None:
            self._metrics.close()
            self._board.close()

    def policy_path(self, name: str) -> Path:
        """Where the policy of the member `name` is saved."""
        return self.path / "policies" / f"{name}.safetensors"

    def unevaluated_path(self, name: str) -> Path:
        """Where the policy of the member `name` is saved if there is nothing that says how well it does."""
        return self.path / "unevaluated" / f"{name}.safetensors"
