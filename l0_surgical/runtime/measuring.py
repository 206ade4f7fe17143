"""How long each form of a layer takes on this machine: loaded only when somebody asks, and nothing is decided
by it."""

import time
from collections.abc import Callable

import numpy as np

from l0_surgical.policy import Layer
from l0_surgical.runtime.kernels import COLUMNS, HEADER, HIDDEN, WIDTH, layer
from l0_surgical.runtime.layout import Memory, forms_of, operations_of
from l0_surgical.system.compiled import cached_njit

_ROUNDS = 7
_ROUND_S = 2e-4


def seconds_of_forms(layer: Layer) -> dict[str, float]:
    """The time of each form that a layer may take: the best of several rounds, in turn, so that a disturbance
    hits all forms alike."""
    source = np.random.default_rng(0).normal(size=layer.weight.shape[1]).astype(np.float32)
    # what a ReLU leaves: half of the inputs are zero
    source[source < 0] = 0
    runs = {form: _prepare(layer, form, source) for form in forms_of(layer)}
    times = {form: _repetitions(run) for form, run in runs.items()}
    best = dict.fromkeys(runs, np.inf)
    for _ in range(_ROUNDS):
        for form, run in runs.items():
            best[form] = min(best[form], _seconds(run, times[form]) / times[form])
    return best


@cached_njit("void(float32[::1], uintp, uintp)")
def repeat_layers(memory, operations, times):
    """The first `operations` of the program, `times` times, to measure them without the cost of a call from
    Python."""
    bits = memory.view(np.uint32)
    width, first = np.uintp(bits[WIDTH]), np.uintp(bits[HIDDEN])
    for _ in range(times):
        source, target = first, first + width
        for number in range(operations):
            layer(
                memory,
                bits,
                np.uintp(HEADER) + number * np.uintp(COLUMNS),
                source,
                target,
                first + np.uintp(2) * width,
            )
            source, target = target, source


def _prepare(layer: Layer, form: str, source: np.ndarray) -> Callable[[int], None]:
    """A function that runs the layer in that form so many times."""
    operations = operations_of(layer, form)
    memory = Memory(operations).array()
    begin = memory.view(np.uint32)[HIDDEN]
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
