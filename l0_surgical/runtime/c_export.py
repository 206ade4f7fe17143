"""A policy as C99: one .h and .c pair that needs nothing but `tanhf`, allocates nothing and refuses what is
not finite."""

import ctypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from l0_surgical.policy import Layer, LowRank, PackedSparse, Policy
from l0_surgical.policy.simplify import remove_dead_units
from l0_surgical.runtime.reference import limits_of
from l0_surgical.runtime.verification import worst_difference
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.files import atomic_write

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
_NUMBERS_PER_LINE = 8


def export_c(policy: Policy, path: str | Path) -> float | None:
    """Writes `policy` as `path` (.c) and the header beside it (.h); both are replaced if they are there.

    The functions begin with the file's name: `NAME_act(observation, action)` and the sizes
    `NAME_OBSERVATION_SIZE`, `NAME_ACTION_SIZE`. Layers keep their representation: dense, two factors, or the
    nonzero weights with their columns.

    Returns:
        The largest difference from the reference engine over 1 000 random observations, compiled with the
        system's C compiler; None where there is no compiler.

    Raises:
        BadInputError: the file's name is no C identifier with the ending .c, or the folder cannot be written.
        L0SurgicalError: the compiler refuses the code.
    """
    path = Path(path)
    if path.suffix != ".c" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", path.stem):
        raise BadInputError(
            f"{path.name} cannot name C functions; give a name of letters, digits and _ with the ending .c, "
            "e.g. policy.c"
        )
    header, source = c_code(policy, path.stem)
    for target, text in ((path.with_suffix(".h"), header), (path, source)):
        with atomic_write(target) as file:
            file.write(text.encode())
    compiler = shutil.which("cc") or shutil.which("gcc")
    return (
        None
        if compiler is None
        else worst_difference(policy, lambda batch: _compiled_actions(compiler, path, policy, batch))
    )


def c_code(policy: Policy, name: str) -> tuple[str, str]:
    """The header and the source."""
    live = remove_dead_units(policy)
    about = f"{policy.task}; {live.numbers} numbers; made by l0_surgical, do not edit"
    fields = "\n".join(
        f" *   {kind}: " + ", ".join(f"{part.name} {part.size} ({part.unit})" for part in parts)
        for kind, parts in (("observation", policy.inputs), ("action", policy.outputs))
    )
    header = _HEADER.format(
        about=about,
        fields=fields,
        name=name,
        NAME=name.upper(),
        observations=policy.observation_size,
        actions=policy.action_size,
    )
    widths = [live.layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in live.layers)]
    ranks = [layer.weight.rank for layer in live.layers if isinstance(layer.weight, LowRank)]
    parts = [_SOURCE_HEAD.format(about=about, name=name)]
    for number, layer in enumerate(live.layers):
        parts += _layer_data(number, layer)
    parts += _conversion_data(live)
    body = "\n".join(line for number, layer in enumerate(live.layers) for line in _layer_calls(number, layer))
    functions = [text for kind, text in _FUNCTIONS.items() if f"{kind}(" in body]
    result = "a" if len(live.layers) % 2 == 0 else "b"
    parts += ["\n".join(functions)]
    parts.append(
        _ACT.format(
            name=name,
            NAME=name.upper(),
            width=max(widths),
            inputs=widths[0],
            factor=f"    float factor[{max(ranks)}];\n" if ranks else "",
            gather="[input_index[i]]" if live.input_index is not None else "[i]",
            body=body,
            result=result,
        )
    )
    return header, "\n".join(parts)


_HEADER = """/* {about}.
{fields}
 */
#ifndef {NAME}_H
#define {NAME}_H

#define {NAME}_OBSERVATION_SIZE {observations}
#define {NAME}_ACTION_SIZE {actions}

#ifdef __cplusplus
extern "C" {{
#endif

/* Computes the action for an observation, in the units above. Returns 0, or 1 where a number of the
 * observation is not finite, or 2 where the network overflows; then the action is not changed. Needs no
 * memory but the stack; may be called from several threads. */
int {name}_act(const float observation[{NAME}_OBSERVATION_SIZE], float action[{NAME}_ACTION_SIZE]);

#ifdef __cplusplus
}}
#endif
#endif
"""

_SOURCE_HEAD = """/* {about}. */
#include "{name}.h"

#include <float.h>
#include <math.h>
"""

_FUNCTIONS = {
    "dense": """/* weights column by column: many rows at once; an input that is 0 costs nothing */
static void dense(const float *weight, const float *bias, int rows, int columns, const float *x, float *y)
{
    for (int row = 0; row < rows; ++row)
        y[row] = bias ? bias[row] : 0.0f;
    for (int column = 0; column < columns; ++column, weight += rows) {
        const float value = x[column];
        if (value != 0.0f)
            for (int row = 0; row < rows; ++row)
                y[row] += weight[row] * value;
    }
}
""",
    "sparse": """static void
sparse(const float *weight, const unsigned short *column, const unsigned short *begin, const float *bias,
       int rows, const float *x, float *y)
{
    for (int row = 0; row < rows; ++row) {
        float sum = bias[row];
        for (int entry = begin[row]; entry < begin[row + 1]; ++entry)
            sum += weight[entry] * x[column[entry]];
        y[row] = sum;
    }
}
""",
    "relu": """static void relu(float *y, int rows)
{
    for (int row = 0; row < rows; ++row)
        if (y[row] < 0.0f)
            y[row] = 0.0f;
}
""",
    "squash": """static void squash(float *y, int rows)
{
    for (int row = 0; row < rows; ++row)
        y[row] = tanhf(y[row]);
}
""",
}

_ACT = """/* false for NaN, too */
static int is_finite(float x)
{{
    return x >= -FLT_MAX && x <= FLT_MAX;
}}

static float clamp(float x, float least, float most)
{{
    return x < least ? least : (x > most ? most : x);
}}

int {name}_act(const float observation[{NAME}_OBSERVATION_SIZE], float action[{NAME}_ACTION_SIZE])
{{
    float a[{width}], b[{width}];
{factor}
    for (int i = 0; i < {NAME}_OBSERVATION_SIZE; ++i)
        if (!is_finite(observation[i]))
            return 1;
    for (int i = 0; i < {inputs}; ++i)
        a[i] = clamp((observation{gather} - mean[i]) / scale[i], -clip, clip);
{body}
    for (int i = 0; i < {NAME}_ACTION_SIZE; ++i)
        if (!is_finite({result}[i]))
            return 2;
    for (int i = 0; i < {NAME}_ACTION_SIZE; ++i)
        action[i] = clamp({result}[i] * half_range[i] + middle[i], low[i], high[i]);
    return 0;
}}
"""


def _layer_data(number: int, layer: Layer) -> Iterator[str]:
    weight = layer.weight
    yield _floats(f"bias{number}", layer.bias)
    if isinstance(weight, LowRank):
        yield _floats(f"v{number}", weight.v.T)
        yield _floats(f"u{number}", weight.u.T)
    elif _is_indexed(weight):
        dense = weight.to_dense()
        rows, columns = np.nonzero(dense)
        # an empty array is no C
        yield _floats(f"weight{number}", dense[rows, columns] if rows.size else np.zeros(1))
        yield _integers(f"column{number}", columns if rows.size else [0])
        yield _integers(f"begin{number}", np.searchsorted(rows, np.arange(dense.shape[0] + 1)))
    else:
        yield _floats(f"weight{number}", weight.to_dense().T)


def _layer_calls(number: int, layer: Layer) -> Iterator[str]:
    x, y = ("a", "b") if number % 2 == 0 else ("b", "a")
    weight = layer.weight
    rows, columns = weight.shape
    if isinstance(weight, LowRank):
        yield f"    dense(v{number}, 0, {weight.rank}, {columns}, {x}, factor);"
        yield f"    dense(u{number}, bias{number}, {rows}, {weight.rank}, factor, {y});"
    elif _is_indexed(weight):
        yield f"    sparse(weight{number}, column{number}, begin{number}, bias{number}, {rows}, {x}, {y});"
    else:
        yield f"    dense(weight{number}, bias{number}, {rows}, {columns}, {x}, {y});"
    if layer.activation != "linear":
        yield f"    {'relu' if layer.activation == 'relu' else 'squash'}({y}, {rows});"


def _is_indexed(weight: object) -> bool:
    """Whether the nonzero weights are listed: where they are packed, and few enough for 16-bit indices."""
    return isinstance(weight, PackedSparse) and weight.values.size < 2**16 and max(weight.shape) < 2**16


def _conversion_data(policy: Policy) -> Iterator[str]:
    read = np.arange(policy.observation_size) if policy.input_index is None else policy.input_index
    if policy.input_index is not None:
        yield _integers("input_index", read)
    yield _floats("mean", policy.normalizer.mean[read])
    yield _floats("scale", policy.normalizer.scale[read])
    yield f"static const float clip = {_number(min(policy.normalizer.clip, np.finfo(np.float32).max))};"
    low, high, half, middle = limits_of(policy)
    largest = np.finfo(np.float32).max
    for name, values in (
        ("low", np.maximum(low, -largest)),
        ("high", np.minimum(high, largest)),
        ("half_range", half),
        ("middle", middle),
    ):
        yield _floats(name, values)


def _floats(name: str, values: np.ndarray) -> str:
    return _array("float", name, [_number(value) for value in np.ravel(values)])


def _integers(name: str, values: Sequence[int] | np.ndarray) -> str:
    return _array("unsigned short", name, [str(int(value)) for value in values])


def _array(kind: str, name: str, texts: list[str]) -> str:
    lines = [
        ", ".join(texts[begin : begin + _NUMBERS_PER_LINE])
        for begin in range(0, len(texts), _NUMBERS_PER_LINE)
    ]
    return f"static const {kind} {name}[{len(texts)}] = {{\n    " + ",\n    ".join(lines) + "};"


def _number(value: float) -> str:
    """A float32 that reads back as the same bits: nine significant digits."""
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def _compiled_actions(compiler: str, path: Path, policy: Policy, batch: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "policy.so"
        command = [compiler, *FLAGS, "-shared", "-fPIC", str(path), "-o", str(library), "-lm"]
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if ended.returncode:
            raise L0SurgicalError(f"{compiler} refuses {path}: {ended.stderr.strip().splitlines()[0]}")
        act = getattr(ctypes.CDLL(str(library)), f"{path.stem}_act")
        actions = np.zeros((len(batch), policy.action_size), dtype=np.float32)
        for observation, action in zip(np.ascontiguousarray(batch), actions, strict=True):
            if (
                code := act(ctypes.c_void_p(observation.ctypes.data), ctypes.c_void_p(action.ctypes.data))
            ) != 0:
                raise L0SurgicalError(f"{path} returned {code} for the observation {observation.tolist()}")
    return actions
