"""The kernel that is only needed to measure layers: it is loaded when there is something to measure."""

import numpy as np
from numba import njit

from l0_surgical.runtime.kernels import COLUMNS, HEADER, HIDDEN, WIDTH, layer


@njit("void(float32[::1], uintp, uintp)", cache=True)
def repeat_layers(memory, operations, times):
    """The first `operations` of the program, `times` times, to measure them without the cost of a call from Python."""
    bits = memory.view(np.uint32)
    width, first = np.uintp(bits[WIDTH]), np.uintp(bits[HIDDEN])
    for _ in range(times):
        source, target = first, first + width
        for number in range(operations):
            layer(memory, bits, np.uintp(HEADER) + number * np.uintp(COLUMNS), source, target, first + np.uintp(2) * width)
            source, target = target, source
