"""What every environment refuses before it acts on it."""

from typing import Any

import numpy as np

from l0_surgical.system.errors import BadInputError


def finite_vector(values: Any, size: int, name: str) -> np.ndarray:
    """Returns a copy of `values` as float64 (size,).

    Raises:
        BadInputError: they are not `size` finite numbers.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = None
    if array is None or array.shape != (size,) or not np.isfinite(array).all():
        raise BadInputError(f"{name} must be {size} finite numbers, got {values!r}")
    return array


def known_render_mode(render_mode: str | None) -> str | None:
    """Returns `render_mode` where it is None or "rgb_array", and raises BadInputError otherwise."""
    if render_mode not in (None, "rgb_array"):
        raise BadInputError(f"render_mode must be None or 'rgb_array', got {render_mode!r}")
    return render_mode
