"""The controller's safety limits: one YAML file, every entry required, units in the names."""

import dataclasses
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from l0_surgical.control.kinematics import Vector
from l0_surgical.errors import BadInputError

_PACKAGE_FILE = "limits.yaml"


@dataclass(frozen=True)
class Limits:
    """See `limits.yaml` for what each means. Lengths in m, angles in rad, times in s; poses in the arm's base frame.

    Raises:
        BadInputError: an entry is not finite, not positive where it must be, or out of order with another.
    """

    base_frame: str
    workspace_low_m: Vector
    workspace_high_m: Vector
    max_step_m: float
    max_step_rad: float
    max_speed_m_per_s: float
    max_speed_rad_per_s: float
    approach_speed_m_per_s: float
    approach_speed_rad_per_s: float
    max_age_s: float
    max_stamp_age_s: float
    max_tracking_error_m: float
    max_tracking_error_rad: float
    max_jump_m: float
    max_jump_rad: float
    max_joint_disagreement_m: float
    max_joint_disagreement_rad: float
    jaw_low_rad: float
    jaw_high_rad: float
    max_loop_gap_s: float
    max_clock_step_s: float

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is float and field.name.startswith(("max_", "approach_")) and value <= 0:
                raise BadInputError(f"limits: {field.name} is {value:g}; it must be above 0")
        for low, high in (("workspace_low_m", "workspace_high_m"), ("jaw_low_rad", "jaw_high_rad")):
            lows, highs = getattr(self, low), getattr(self, high)
            pairs = zip(lows, highs, strict=True) if isinstance(lows, tuple) else [(lows, highs)]
            if any(a >= b for a, b in pairs):
                raise BadInputError(f"limits: {low} {lows} must be below {high} {highs}")
        for unit in ("m_per_s", "rad_per_s"):
            approach, most = getattr(self, f"approach_speed_{unit}"), getattr(self, f"max_speed_{unit}")
            if approach > most:
                raise BadInputError(f"limits: approach_speed_{unit} {approach:g} is above max_speed_{unit} {most:g}")

    def scaled(self, speed: float) -> "Limits":
        """The same limits with every speed multiplied by `speed`, in (0, 1].

        Raises:
            BadInputError: another number.
        """
        if not 0 < speed <= 1:
            raise BadInputError(f"the speed is {speed:g}; it is a fraction of the policy's own, above 0 and at most 1")
        names = [field.name for field in dataclasses.fields(self) if "speed" in field.name]
        return dataclasses.replace(self, **{name: speed * getattr(self, name) for name in names})


def load_limits(path: str | Path | None = None) -> Limits:
    """Reads a file of limits; None gives the package's own.

    Raises:
        BadInputError: the file cannot be read, is not YAML, lacks an entry, has an unknown one, or one that makes no sense.
    """
    if path is None:
        return parse_limits(resources.files("l0_surgical.control").joinpath(_PACKAGE_FILE).read_text(encoding="utf-8"))
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read the limits {path}: {error}; give a YAML file like the package's control/limits.yaml") from error
    try:
        return parse_limits(text)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from error


def parse_limits(text: str) -> Limits:
    """The limits in a YAML text; raises as `load_limits`."""
    try:
        import yaml
    except ImportError as error:
        raise BadInputError(f"limits need the package pyyaml ({error}); install it with: pip install 'l0_surgical[dds]'") from error
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInputError(f"limits: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, dict):
        raise BadInputError("limits: no entries; copy the package's control/limits.yaml and change the copy")
    fields = {field.name: field.type for field in dataclasses.fields(Limits)}
    unknown, missing = sorted(map(str, entries.keys() - fields.keys())), sorted(fields.keys() - entries.keys())
    if unknown or missing:
        parts = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        raise BadInputError(f"limits: {'; '.join(parts)}; copy the package's control/limits.yaml and change the copy")
    return Limits(**{name: _checked(name, kind, entries[name]) for name, kind in fields.items()})


def _checked(name: str, kind: Any, value: Any) -> Any:
    if kind is str:
        if not isinstance(value, str) or not value:
            raise BadInputError(f"limits: {name} is {value!r}; it must be a text")
        return value
    numbers = value if kind is not float else [value]
    is_list = isinstance(numbers, list) and len(numbers) == (1 if kind is float else 3)
    if not is_list or any(
        isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) for number in numbers
    ):
        raise BadInputError(f"limits: {name} is {value!r}; it must be {'a finite number' if kind is float else 'three finite numbers'}")
    return float(value) if kind is float else tuple(map(float, value))
