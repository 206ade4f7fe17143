"""Limits for a machine that runs other tests beside these: it is no robot's computer."""

import re
from importlib import resources
from pathlib import Path

SHARED_MACHINE = {
    "max_loop_gap_s": 0.5,
    "max_age_s": 0.4,
    "max_stamp_age_s": 0.5,
    "max_tracking_error_m": 0.02,
    "max_jump_m": 0.015,
    "max_setpoint_age_s": 0.5,
}


def write_limits(folder: Path) -> Path:
    """The package's limits with those of the computer widened, as a file in `folder`."""
    text = resources.files("l0_surgical.robot.control").joinpath("limits.yaml").read_text(encoding="utf-8")
    for name, value in SHARED_MACHINE.items():
        text = re.sub(f"(?m)^{name}: .*$", f"{name}: {value}", text)
    path = folder / "limits.yaml"
    path.write_text(text, encoding="utf-8")
    return path
