"""The controller's safety limits: one YAML file, every entry required, units in the names, each with bounds
of its own.

The bounds are no safe values but the ends of what a PSM can mean: beyond them an entry is in other units or
fences nothing.
"""

import dataclasses
import math
import re
import typing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from l0_surgical.surgical import ArmTask
from l0_surgical.surgical.kinematics import Vector
from l0_surgical.system.bounds import Bound, check_value
from l0_surgical.system.errors import BadInputError

_PACKAGE_FILE = "limits.yaml"
_LARGEST_FILE = 2**20
_COPY = "copy the package's control/limits.yaml and change the copy"
REACH_M = 0.3
"""Farther from the remote centre of motion no PSM brings its tool (0.23 m with a Classic's insertion, 0.28 m
with an Si's)."""
HOME_M: Vector = (0.0, 0.0, -0.1135)
"""Where the tool is after homing."""

Coordinate = Annotated[float, Bound(-REACH_M, REACH_M)]
ServoRate = Annotated[float, Bound(100, 500)]
"""Setpoints per second (Hz)."""
Speed = Annotated[float, Bound(above=0, most=1, beyond="it is a fraction of the policy's own speed")]

# the ending of an entry's name: its unit, and in what other one such a number is found
_UNITS = {
    "_m_per_s": ("m/s", "mm/s"),
    "_m_per_s2": ("m/s2", "mm/s2"),
    "_m_per_s3": ("m/s3", "mm/s3"),
    "_rad_per_s": ("rad/s", "degrees per second"),
    "_m": ("metres", "millimetres"),
    "_rad": ("radians", "degrees"),
    "_s": ("seconds", "milliseconds"),
}


@dataclass(frozen=True)
class Limits:
    """See `limits.yaml` for what each means. Lengths in m, angles in rad, times in s; poses in the arm's base
    frame.

    Raises:
        BadInputError: an entry is no finite number within its bounds, out of order with another, or the
        workspace cannot be worked in.
    """

    base_frame: str
    workspace_low_m: tuple[Coordinate, Coordinate, Coordinate]
    workspace_high_m: tuple[Coordinate, Coordinate, Coordinate]
    max_step_m: Annotated[float, Bound(above=0, most=0.005)]
    max_step_rad: Annotated[float, Bound(above=0, most=0.1)]
    max_speed_m_per_s: Annotated[float, Bound(above=0, most=0.5)]
    max_speed_rad_per_s: Annotated[float, Bound(above=0, most=5)]
    max_acceleration_m_per_s2: Annotated[float, Bound(above=0, most=20)]
    max_acceleration_rad_per_s2: Annotated[float, Bound(above=0, most=200)]
    max_jerk_m_per_s3: Annotated[float, Bound(above=0, most=5000)]
    max_jerk_rad_per_s3: Annotated[float, Bound(above=0, most=50_000)]
    approach_speed_m_per_s: Annotated[float, Bound(above=0, most=0.2)]
    approach_speed_rad_per_s: Annotated[float, Bound(above=0, most=2)]
    max_age_s: Annotated[float, Bound(above=0, most=2)]
    max_stamp_age_s: Annotated[float, Bound(above=0, most=2)]
    max_stamp_jitter_s: Annotated[float, Bound(0, 0.005)]
    max_tracking_error_m: Annotated[float, Bound(above=0, most=0.1)]
    max_tracking_error_rad: Annotated[float, Bound(above=0, most=1)]
    max_setpoint_error_m: Annotated[float, Bound(above=0, most=0.005)]
    max_setpoint_error_rad: Annotated[float, Bound(above=0, most=0.1)]
    max_setpoint_age_s: Annotated[float, Bound(above=0, most=1)]
    max_jump_m: Annotated[float, Bound(above=0, most=0.1)]
    max_jump_rad: Annotated[float, Bound(above=0, most=1)]
    max_joint_disagreement_m: Annotated[float, Bound(above=0, most=0.02)]
    max_joint_disagreement_rad: Annotated[float, Bound(above=0, most=0.2)]
    jaw_low_rad: Annotated[float, Bound(-0.8, 0.5)]
    jaw_high_rad: Annotated[float, Bound(-0.8, 0.5)]
    max_loop_gap_s: Annotated[float, Bound(above=0, most=2)]
    max_clock_step_s: Annotated[float, Bound(above=0, most=2)]

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(Limits, include_extras=True).items():
            _check_entry(name, getattr(self, name), hint)
        _check_order("jaw_low_rad", self.jaw_low_rad, "jaw_high_rad", self.jaw_high_rad)
        for axis, low, high in zip("xyz", self.workspace_low_m, self.workspace_high_m, strict=True):
            _check_order(f"workspace_low_m {axis}", low, f"workspace_high_m {axis}", high)
            if high - low > REACH_M:
                raise BadInputError(
                    f"limits: the workspace is {high - low:g} m long in {axis}, from workspace_low_m "
                    f"{low:g} to workspace_high_m {high:g}; "
                    f"at most {REACH_M:g} m, a PSM's reach, fence anything"
                )
        self._check_holds("the arm's home position", HOME_M)
        for unit in ("m", "rad"):
            error, step = getattr(self, f"max_setpoint_error_{unit}"), getattr(self, f"max_step_{unit}")
            if error > step:
                raise BadInputError(
                    f"limits: max_setpoint_error_{unit} {error:g} is above max_step_{unit} {step:g}, which "
                    "the first command may be"
                )
        for unit in ("m_per_s", "rad_per_s"):
            approach, most = getattr(self, f"approach_speed_{unit}"), getattr(self, f"max_speed_{unit}")
            if approach > most:
                raise BadInputError(
                    f"limits: approach_speed_{unit} {approach:g} is above max_speed_{unit} {most:g}"
                )

    @property
    def longest_step_s(self) -> float:
        """How long the largest step takes at full speed: over a longer time no setpoint can follow the
        motion."""
        return min(self.max_step_m / self.max_speed_m_per_s, self.max_step_rad / self.max_speed_rad_per_s)

    def holds(self, tool_m: Vector) -> bool:
        """Whether the tool may be at that position (m, arm's base frame)."""
        return all(
            low <= value <= high
            for low, value, high in zip(self.workspace_low_m, tool_m, self.workspace_high_m, strict=True)
        )

    def check_task(self, task: ArmTask) -> None:
        """Raises BadInputError where the workspace does not hold the pose in which the task begins."""
        self._check_holds("the task's start pose", task.arm.world.point_in_rcm(task.arm.start.position))

    def _check_holds(self, what: str, tool_m: Vector) -> None:
        if not self.holds(tool_m):
            raise BadInputError(
                f"limits: the workspace {self.workspace_low_m} .. {self.workspace_high_m} does not hold "
                f"{what}, ({', '.join(f'{value:.4f}' for value in tool_m)}) m in the arm's base frame; widen "
                "workspace_low_m or workspace_high_m"
            )

    def frame_of(self, arm: str) -> str:
        """The frame that the poses of the arm of that name must be in: its own base.

        Raises:
            BadInputError: `base_frame` is another one, in which the kinematics here would be wrong.
        """
        frame, own = self.base_frame.replace("{arm}", arm), f"{arm}_base"
        if frame != own:
            raise BadInputError(
                f"limits: base_frame {self.base_frame!r}: poses are in {arm}'s own base; "
                f'write "{{arm}}_base" or {own}'
            )
        return own

    def scaled(self, speed: float) -> "Limits":
        """The limits of the same motion at `speed`, in (0, 1], times its speed: accelerations by its square,
        jerks by its cube.

        Raises:
            BadInputError: another number.
        """
        check_value("speed", speed, Speed)
        powers = (("speed", 1), ("acceleration", 2), ("jerk", 3))
        factors = {
            field.name: speed**power
            for field in dataclasses.fields(self)
            for word, power in powers
            if word in field.name
        }
        return dataclasses.replace(
            self, **{name: factor * getattr(self, name) for name, factor in factors.items()}
        )


def load_limits(
    path: str | Path | None = None, arm: str | None = None, task: ArmTask | None = None
) -> Limits:
    """Reads a file of limits; None gives the package's own.

    Args:
        path: the file.
        arm: the arm that they are for, whose base frame they must name; any where None.
        task: the task that they are for, whose start pose they must hold; any where None.

    Raises:
        BadInputError: the file cannot be read, is not YAML, lacks an entry, has an unknown or a doubled one,
        or one that makes no sense.
    """
    if path is None:
        package = resources.files("l0_surgical.robot.control")
        text = package.joinpath(_PACKAGE_FILE).read_text(encoding="utf-8")
        return _for(arm, task, parse_limits(text))
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST_FILE + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise BadInputError(
            f"cannot read the limits {path}: {reason}; give a YAML file like the package's "
            "control/limits.yaml"
        ) from error
    try:
        return _for(arm, task, parse_limits(text))
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from error


def _for(arm: str | None, task: ArmTask | None, limits: Limits) -> Limits:
    if arm is not None:
        limits.frame_of(arm)
    if task is not None:
        limits.check_task(task)
    return limits


def parse_limits(text: str) -> Limits:
    """The limits in a YAML text; raises as `load_limits`."""
    entries = _read_yaml(text)
    if not isinstance(entries, dict):
        raise BadInputError(f"limits: no entries; {_COPY}")
    names = [field.name for field in dataclasses.fields(Limits)]
    unknown, missing = (
        sorted(_short(key) for key in entries if key not in names),
        [name for name in names if name not in entries],
    )
    if unknown or missing:
        parts = [f"unknown: {', '.join(unknown[:5])}"] * bool(unknown) + [
            f"missing: {', '.join(missing)}"
        ] * bool(missing)
        raise BadInputError(f"limits: {'; '.join(parts)}; {_COPY}")
    return Limits(
        **{name: tuple(value) if isinstance(value := entries[name], list) else value for name in names}
    )


def _read_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise BadInputError(
            f"limits need the package pyyaml ({error}); install it with: pip install 'l0_surgical[dds]'"
        ) from error

    class OnceLoader(yaml.SafeLoader):
        """Refuses a key that stands twice, of which YAML would silently take the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise BadInputError(
                        f"limits: {_short(key.value)} stands twice, again in line {line}; leave one of them"
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    if len(text) > _LARGEST_FILE:
        raise BadInputError(f"limits: longer than {_LARGEST_FILE >> 20} MiB; {_COPY}")
    try:
        return yaml.load(text, OnceLoader)
    except BadInputError:
        raise
    # ValueError: a date or a number that cannot be one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"limits: not YAML: {' '.join(str(error).split())[:200]}") from error


def _check_entry(name: str, value: Any, hint: Any) -> None:
    try:
        check_value(name, value, hint)
    except BadInputError as error:
        raise BadInputError(
            f"limits: {str(error).removeprefix('--')}{_question(name, value, hint)}"
        ) from None


def _question(name: str, value: Any, hint: Any) -> str:
    """What a refused value may have meant instead."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9.]+e[+-]?[0-9]+", value, re.IGNORECASE):
        return f"; YAML takes {value} for a text, so write it without an exponent"
    numbers, inner = (value, typing.get_args(hint)[0]) if isinstance(value, tuple) else ((value,), hint)
    unit, other = next((units for ending, units in _UNITS.items() if name.endswith(ending)), ("", ""))
    bound = next((part for part in getattr(inner, "__metadata__", ()) if isinstance(part, Bound)), None)
    is_larger = bound and any(
        type(number) in (int, float) and bound.most < abs(number) < math.inf for number in numbers
    )
    return f"; this is in {unit}: did you mean {other}?" if is_larger else ""


def _check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    if low >= high:
        raise BadInputError(f"limits: {low_name} {low:g} must be below {high_name} {high:g}")


def _short(key: Any) -> str:
    return str(key)[:60]
