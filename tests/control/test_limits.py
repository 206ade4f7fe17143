from importlib import resources
from pathlib import Path

import pytest
from rig import written

from l0_surgical.control.limits import Limits, load_limits
from l0_surgical.control.motion import START_POSE
from l0_surgical.errors import BadInputError

TEXT = resources.files("l0_surgical.control").joinpath("limits.yaml").read_text(encoding="utf-8")


def test_the_packages_limits_hold_home_and_the_start_pose() -> None:
    limits = load_limits()
    for position in ((0, 0, -0.1135), START_POSE.position):
        assert all(a < b < c for a, b, c in zip(limits.workspace_low_m, position, limits.workspace_high_m, strict=True))
    assert limits.base_frame == "{arm}_base"


def test_a_copy_gives_the_same_limits(tmp_path: Path) -> None:
    assert load_limits(written(tmp_path, TEXT)) == load_limits()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_step_m: 0.0012", "", "missing: max_step_m"),
        ("max_step_m: 0.0012", "max_step_m: 0.0012\nmax_force_n: 3", "unknown: max_force_n"),
        ("max_step_m: 0.0012", "max_step_m: -1", "max_step_m is -1; it must be above 0"),
        ("max_step_m: 0.0012", "max_step_m: .nan", "it must be a finite number"),
        ("max_step_m: 0.0012", "max_step_m: 1 mm", "it must be a finite number"),
        ("max_step_m: 0.0012", "max_step_m: true", "it must be a finite number"),
        ("-0.0750]", "-0.2]", "must be below workspace_high_m"),
        ("-0.0750]", "]", "three finite numbers"),
        ("jaw_high_rad: 0.17", "jaw_high_rad: -0.5", "jaw_low_rad"),
        ("approach_speed_m_per_s: 0.04", "approach_speed_m_per_s: 0.4", "is above max_speed_m_per_s"),
        ('base_frame: "{arm}_base"', "base_frame: 3", "must be a text"),
        ("base_frame:", "base_frame: [", "not YAML"),
        (TEXT, "", "no entries"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    path = written(tmp_path, TEXT.replace(old, new))
    with pytest.raises(BadInputError) as refusal:
        load_limits(path)
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"cannot read the limits nowhere\.yaml"):
        load_limits("nowhere.yaml")


def test_speed_scales_every_speed_and_nothing_else() -> None:
    limits, slow = load_limits(), load_limits().scaled(0.25)
    names = {name for name in Limits.__dataclass_fields__ if getattr(slow, name) != getattr(limits, name)}
    assert names == {"max_speed_m_per_s", "max_speed_rad_per_s", "approach_speed_m_per_s", "approach_speed_rad_per_s"}
    assert slow.max_speed_m_per_s == pytest.approx(0.025)
    for speed in (0.0, 1.1, float("nan")):
        with pytest.raises(BadInputError, match="fraction of the policy's own"):
            limits.scaled(speed)
