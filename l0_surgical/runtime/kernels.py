"""The compiled inner loops of the engine. One call computes a whole action: no array is made, nothing is
interpreted by Python.

Everything is one array of float32, whose bits are uint32 where indices are meant, because each array that
Python hands over costs as much as a small layer. It begins with a header (see `N_OPERATIONS` and what
follows), then one row of `COLUMNS` integers per operation. Weights are stored by input column: an input that
a ReLU has set to zero then costs nothing, whatever the representation.
"""

import math

import numpy as np
from numba import njit

from l0_surgical.system.compiled import cached_njit

# the header: how many operations, entries read by layer 0, observed entries, actions; then the places of the
# parts
N_OPERATIONS, N_READ, N_OBSERVED, N_ACTIONS, READ, NORMALIZER, LIMITS, OBSERVATION, ACTION, HIDDEN, WIDTH = (
    map(np.uintp, range(11))
)
HEADER = 12
# an operation
KIND, INPUTS, OUTPUTS, ACTIVATION, WEIGHTS, BIAS, POINTERS, ROWS = map(np.uintp, range(8))
COLUMNS = 8
DENSE, SPARSE = 0, 1
LINEAR, RELU, TANH = 0, 1, 2

OK, BAD_OBSERVATION, OVERFLOW = 0, 1, 2
_LARGEST = np.finfo(np.float32).max


@njit(fastmath={"contract"})
def dense(weights, inputs, outputs, source, target, values, active):
    """target += weights @ source, four columns of nonzero inputs at a time."""
    count = np.uintp(0)
    for column in range(inputs):
        if source[column] != 0.0:
            active[count] = column
            values[count] = source[column]
            count += np.uintp(1)
    whole = count - count % np.uintp(4)
    for place in range(np.uintp(0), whole, np.uintp(4)):
        a, b, c, d = (
            values[place],
            values[place + np.uintp(1)],
            values[place + np.uintp(2)],
            values[place + np.uintp(3)],
        )
        at_a = np.uintp(active[place]) * outputs
        at_b = np.uintp(active[place + np.uintp(1)]) * outputs
        at_c = np.uintp(active[place + np.uintp(2)]) * outputs
        at_d = np.uintp(active[place + np.uintp(3)]) * outputs
        column_a, column_b = weights[at_a : at_a + outputs], weights[at_b : at_b + outputs]
        column_c, column_d = weights[at_c : at_c + outputs], weights[at_d : at_d + outputs]
        for row in range(outputs):
            target[row] += (a * column_a[row] + b * column_b[row]) + (c * column_c[row] + d * column_d[row])
    for place in range(whole, count):
        a, at_a = values[place], np.uintp(active[place]) * outputs
        column_a = weights[at_a : at_a + outputs]
        for row in range(outputs):
            target[row] += a * column_a[row]


@njit(fastmath={"contract"})
def sparse(memory, bits, weights, pointers, rows, inputs, source, target):
    """The same for the nonzero weights of each column of a nonzero input; all but the arrays are places."""
    for column in range(inputs):
        value = memory[source + column]
        if value != 0.0:
            for entry in range(
                np.uintp(bits[pointers + column]), np.uintp(bits[pointers + column + np.uintp(1)])
            ):
                memory[target + bits[rows + entry]] += value * memory[weights + entry]


@njit
def layer(memory, bits, operation, source, target, scratch):
    """One operation: target (outputs,) = activation(weights @ source + bias); all but the arrays are
    places."""
    inputs, outputs = np.uintp(bits[operation + INPUTS]), np.uintp(bits[operation + OUTPUTS])
    bias, weights = np.uintp(bits[operation + BIAS]), np.uintp(bits[operation + WEIGHTS])
    for row in range(outputs):
        memory[target + row] = memory[bias + row]
    if bits[operation + KIND] == DENSE:
        width = np.uintp(bits[WIDTH])
        dense(
            memory[weights:],
            inputs,
            outputs,
            memory[source : source + inputs],
            memory[target : target + outputs],
            memory[scratch : scratch + inputs],
            bits[scratch + width : scratch + width + inputs],
        )
    else:
        pointers, rows = np.uintp(bits[operation + POINTERS]), np.uintp(bits[operation + ROWS])
        sparse(memory, bits, weights, pointers, rows, inputs, source, target)
    activation = bits[operation + ACTIVATION]
    if activation == RELU:
        for row in range(outputs):
            value = memory[target + row]
            # written so that NaN stays
            memory[target + row] = np.float32(0) if value < 0 else value
    elif activation == TANH:
        for row in range(outputs):
            memory[target + row] = np.float32(math.tanh(memory[target + row]))


@cached_njit("int64(float32[::1])")
def act(memory):
    """Computes the action from the observation, both parts of `memory`; returns OK, BAD_OBSERVATION or
    OVERFLOW.

    The normaliser is (3, read): mean, scale, clip; the limits (4, actions): low, high, half range, middle;
    `HIDDEN` has four rows of `WIDTH` numbers: two for what goes in and out of a layer, two for scratch.
    """
    bits = memory.view(np.uint32)
    observation, read = np.uintp(bits[OBSERVATION]), np.uintp(bits[READ])
    for place in range(np.uintp(bits[N_OBSERVED])):
        # NaN fails the comparison too
        if not abs(memory[observation + place]) <= _LARGEST:
            return BAD_OBSERVATION
    width, source = np.uintp(bits[WIDTH]), np.uintp(bits[HIDDEN])
    target, scratch = source + width, source + np.uintp(2) * width
    count, mean = np.uintp(bits[N_READ]), np.uintp(bits[NORMALIZER])
    scale, clip = mean + count, mean + np.uintp(2) * count
    for place in range(count):
        value = (memory[observation + bits[read + place]] - memory[mean + place]) / memory[scale + place]
        memory[source + place] = min(max(value, -memory[clip + place]), memory[clip + place])
    for number in range(np.uintp(bits[N_OPERATIONS])):
        layer(memory, bits, np.uintp(HEADER) + number * np.uintp(COLUMNS), source, target, scratch)
        source, target = target, source
    count, low, action = np.uintp(bits[N_ACTIONS]), np.uintp(bits[LIMITS]), np.uintp(bits[ACTION])
    high, half, middle = low + count, low + np.uintp(2) * count, low + np.uintp(3) * count
    for place in range(count):
        value = memory[source + place]
        if not abs(value) <= _LARGEST:
            return OVERFLOW
        value = value * memory[half + place] + memory[middle + place]
        memory[action + place] = min(max(value, memory[low + place]), memory[high + place])
    return OK
