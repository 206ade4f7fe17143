"""Which form of each layer is fastest on this machine: measured once, then remembered in the user's cache folder."""

import contextlib
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from l0_surgical.errors import L0SurgicalError
from l0_surgical.files import atomic_write
from l0_surgical.policy_file import Layer, Policy, policy_bytes
from l0_surgical.runtime import kernels
from l0_surgical.runtime.layout import Memory, forms_of, operations_of

_VERSION = 1
_ROUNDS = 7
_ROUND_S = 2e-4


@dataclass(frozen=True)
class Candidate:
    """A form that a layer may take, and the seconds it takes there."""

    form: str
    seconds: float


def choose(policy: Policy) -> list[list[Candidate]]:
    """The candidates of each layer with their times, from the cache or by measurement."""
    path = cache_file(policy)
    kept = _read(path, [forms_of(layer) for layer in policy.layers])
    if kept is not None:
        return kept
    candidates = [_compare(layer) for layer in policy.layers]
    # a cache that cannot be written is no reason not to run
    with contextlib.suppress(L0SurgicalError, OSError), atomic_write(path) as file:
        file.write(json.dumps([[[candidate.form, candidate.seconds] for candidate in layer] for layer in candidates]).encode())
    return candidates


def cache_file(policy: Policy) -> Path:
    """Where the choice for a policy, this machine's processor and this numba is kept: in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    key = hashlib.sha256(policy_bytes(policy))
    key.update("|".join((str(_VERSION), numba.__version__, np.__version__, platform.machine(), _processor())).encode())
    return Path(base).expanduser() / "l0_surgical" / f"{key.hexdigest()[:32]}.json"


def _compare(layer: Layer) -> list[Candidate]:
    """The best of several rounds, in turn, so that a disturbance hits all forms alike."""
    source = np.random.default_rng(0).normal(size=layer.weight.shape[1]).astype(np.float32)
    # what a ReLU leaves: half of the inputs are zero
    source[source < 0] = 0
    runs = {form: _prepare(layer, form, source) for form in forms_of(layer)}
    times = {form: _repetitions(run) for form, run in runs.items()}
    best = dict.fromkeys(runs, np.inf)
    for _ in range(_ROUNDS):
        for form, run in runs.items():
            best[form] = min(best[form], _seconds(run, times[form]) / times[form])
    return [Candidate(form, seconds) for form, seconds in best.items()]


def _prepare(layer: Layer, form: str, source: np.ndarray) -> Callable[[int], None]:
    """A function that runs the layer in that form so many times."""
    from l0_surgical.runtime.measuring import repeat_layers

    operations = operations_of(layer, form)
    memory = Memory(operations).array()
    begin = memory.view(np.uint32)[kernels.HIDDEN]
    memory[begin : begin + source.size] = source
    return lambda times: repeat_layers(memory, len(operations), times)


def _repetitions(run: Callable[[int], None]) -> int:
    """How many last about `_ROUND_S`."""
    count = 1
    while _seconds(run, count) < _ROUND_S and count < 1 << 20:
        count *= 4
    return count


def _seconds(run: Callable[[int], None], times: int) -> float:
    begin = time.perf_counter()
    run(times)
    return time.perf_counter() - begin


def _read(path: Path, forms: list[list[str]]) -> list[list[Candidate]] | None:
    """What is kept for exactly these forms; None where there is nothing, or nothing of use."""
    try:
        kept = [[Candidate(str(form), float(seconds)) for form, seconds in layer] for layer in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        return None
    is_sound = all(np.isfinite(candidate.seconds) for layer in kept for candidate in layer)
    return kept if is_sound and [[candidate.form for candidate in layer] for layer in kept] == forms else None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.processor()
