import dataclasses
import math
import re
from importlib import resources
from pathlib import Path

import pytest
from rig import TASK, Rig, written

from l0_surgical.robot.control.limits import Limits, load_limits
from l0_surgical.robot.control.motion import start_pose
from l0_surgical.surgical import ArmTask
from l0_surgical.system.errors import BadInputError

TEXT = resources.files("l0_surgical.robot.control").joinpath("limits.yaml").read_text(encoding="utf-8")

LINE = TEXT[: TEXT.index("max_step_m:")].count("\n") + 1


def test_the_packages_limits_hold_home_and_the_start_pose() -> None:
    limits = load_limits()
    for position in ((0, 0, -0.1135), start_pose(TASK).position):
        assert all(
            a < b < c
            for a, b, c in zip(limits.workspace_low_m, position, limits.workspace_high_m, strict=True)
        )
    assert limits.base_frame == "{arm}_base"


def test_a_copy_gives_the_same_limits(tmp_path: Path) -> None:
    assert load_limits(written(tmp_path, TEXT)) == load_limits()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_step_m: 0.0012", "", "missing: max_step_m"),
        ("max_step_m: 0.0012", "max_step_m: 0.0012\nmax_force_n: 3", "unknown: max_force_n"),
        ("max_step_m: 0.0012", "max_step_m: 0.0012\n3: 4", "unknown: 3"),
        (
            "max_step_m: 0.0012",
            "max_step_m: 0.0012\nmax_step_m: 0.001",
            f"max_step_m stands twice, again in line {LINE + 1}",
        ),
        ("max_step_m: 0.0012", "max_step_m: -1", "max_step_m -1: pass a finite number"),
        ("max_step_m: 0.0012", "max_step_m: .nan", "max_step_m nan: pass a finite number"),
        ("max_step_m: 0.0012", "max_step_m: .inf", "max_step_m inf: pass a finite number"),
        ("max_step_m: 0.0012", "max_step_m: 1 mm", "max_step_m '1 mm': pass a finite number"),
        (
            "max_step_m: 0.0012",
            "max_step_m: 1e-3",
            "YAML takes 1e-3 for a text, so write it without an exponent",
        ),
        ("max_step_m: 0.0012", "max_step_m: true", "max_step_m True: pass a finite number"),
        ("max_step_m: 0.0012", "max_step_m:", "max_step_m None: pass a finite number"),
        (
            "max_step_m: 0.0012",
            f"max_step_m: {'9' * 4000}",
            "max_step_m (a number of 13288 bits): pass a finite number",
        ),
        ("max_step_m: 0.0012", f"max_step_m: {'9' * 5000}", "not YAML"),
        ("max_step_m: 0.0012", "max_step_m: [0.0012]", "max_step_m (0.0012,): pass a finite number"),
        ("-0.0750]", "-0.2]", "workspace_low_m z -0.1572 must be below workspace_high_m z -0.2"),
        ("-0.0750]", "]", "workspace_high_m (0.13, 0.14): pass 3 values"),
        ("[0.130, 0.140, -0.0750]", "far", "workspace_high_m 'far': pass a tuple"),
        ("[0.130, 0.140, -0.0750]", "[0.130, true, -0.0750]", "workspace_high_m True: pass a finite number"),
        ("jaw_high_rad: 0.17", "jaw_high_rad: -0.5", "jaw_low_rad -0.35 must be below jaw_high_rad -0.5"),
        (
            "approach_speed_m_per_s: 0.04",
            "approach_speed_m_per_s: 0.14",
            "approach_speed_m_per_s 0.14 is above max_speed_m_per_s 0.1",
        ),
        ('base_frame: "{arm}_base"', "base_frame: 3", "base_frame 3: pass a text"),
        ("base_frame:", "base_frame: [", "not YAML"),
        ("base_frame:", f"base_frame: {'[' * 100_000}", "not YAML"),
        (TEXT, "", "no entries"),
        (TEXT, "- 1", "no entries"),
        (TEXT, " " * 2**20 + "#", "longer than 1 MiB"),
    ],
    ids=lambda text: text[:30],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_name(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in TEXT
    path = written(tmp_path, TEXT.replace(old, new))
    with pytest.raises(BadInputError) as refusal:
        load_limits(path)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(f"{path}: limits: ")
    assert len(str(refusal.value)) < 500


MILLIMETRES = {"workspace_low_m": "[-30, -30, -157.2]", "workspace_high_m": "[130, 140, -75]"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (MILLIMETRES, ["workspace_low_m -30: ", "0.3", "; this is in metres: did you mean millimetres?"]),
        ({"workspace_high_m": "[13, 14, -7.5]"}, ["workspace_high_m 13: ", "0.3", "; this is in metres"]),
        (
            {"workspace_low_m": "[-0.2, -0.2, -0.2]"},
            ["0.33 m long in x, from workspace_low_m -0.2 to workspace_high_m 0.13; at most 0.3 m"],
        ),
        (
            {"workspace_high_m": "[0.13, 0.14, -0.12]"},
            ["does not hold the arm's home position, (0.0000, 0.0000, -0.1135) m"],
        ),
        (
            {"workspace_high_m": "[0.02, 0.14, -0.075]"},
            ["does not hold the task's start pose, (0.0246, 0.0014, -0.0972) m"],
        ),
        (
            {"max_step_m": "1.2"},
            ["max_step_m 1.2: ", "0.005", "; this is in metres: did you mean millimetres?"],
        ),
        (
            {"max_step_rad": "0.7"},
            ["max_step_rad 0.7: ", "0.1", "; this is in radians: did you mean degrees?"],
        ),
        (
            {"max_speed_m_per_s": "1000"},
            ["max_speed_m_per_s 1000: ", "0.5", "; this is in m/s: did you mean mm/s?"],
        ),
        (
            {"max_speed_rad_per_s": "57.3"},
            ["max_speed_rad_per_s 57.3: ", "5", "; this is in rad/s: did you mean degrees per second?"],
        ),
        ({"max_tracking_error_m": "1000"}, ["max_tracking_error_m 1000: ", "0.1", "; this is in metres"]),
        ({"jaw_low_rad": "-20", "jaw_high_rad": "10"}, ["jaw_low_rad -20: ", "0.5", "; this is in radians"]),
        ({"max_age_s": "100"}, ["max_age_s 100: ", "2", "; this is in seconds: did you mean milliseconds?"]),
    ],
)
def test_other_units_and_boxes_that_fence_nothing_are_refused(
    tmp_path: Path, changes: dict[str, str], says: list[str]
) -> None:
    text = TEXT
    for name, value in changes.items():
        text = re.sub(f"(?m)^{name}: .*$", f"{name}: {value}", text)
    path = written(tmp_path, text)
    with pytest.raises(BadInputError) as refusal:
        load_limits(path, task=TASK)
    assert [words for words in says if words not in str(refusal.value)] == []
    assert str(refusal.value).startswith(f"{path}: limits: ")


def test_limits_must_hold_the_start_pose_of_the_task_that_they_are_for(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.replace("[0.130, 0.140, -0.0750]", "[0.02, 0.14, -0.075]"))
    for refused in (lambda: load_limits(path, "PSM1", TASK), lambda: Rig(limits=load_limits(path))):
        with pytest.raises(BadInputError, match=r"does not hold the task's start pose, \(0\.0246, 0\.0014, "):
            refused()


def test_another_task_may_start_where_this_one_does_not() -> None:
    def beginning_at(tool_m: tuple[float, float, float]) -> ArmTask:
        start = TASK.arm.start._replace(position=TASK.arm.world.point_from_rcm(tool_m))
        return dataclasses.replace(TASK, arms=(dataclasses.replace(TASK.arm, start=start),))

    load_limits(task=beginning_at((0.129, 0.0, -0.1)))
    with pytest.raises(
        BadInputError, match=r"^limits: .* the task's start pose, \(0\.1310, 0\.0000, -0\.1000"
    ):
        load_limits(task=beginning_at((0.131, 0.0, -0.1)))


NUMBERS = [field.name for field in dataclasses.fields(Limits) if field.type is not str]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 1e9, -1e9, 10**400, True, "0.001", None, (0.001,), (0.001,) * 3 + (1,)],
)
def test_every_number_has_bounds(name: str, value: object) -> None:
    former = getattr(load_limits(), name)
    changed = (
        (former[0], value, former[2]) if isinstance(former, tuple) and not isinstance(value, tuple) else value
    )
    with pytest.raises(BadInputError, match=f"^limits: {name} "):
        dataclasses.replace(load_limits(), **{name: changed})


@pytest.mark.parametrize("frame", ["PSM2_base", "ECM", "PSM1_base ", "{arm}", ""])
def test_the_base_frame_of_another_arm_is_refused(tmp_path: Path, frame: str) -> None:
    path = written(tmp_path, TEXT.replace('"{arm}_base"', f'"{frame}"'))
    with pytest.raises(BadInputError) as refusal:
        load_limits(path, "PSM1")
    assert (
        str(refusal.value)
        == f'{path}: limits: base_frame {frame!r}: poses are in PSM1\'s own base; write "{{arm}}_base" or PSM1_base'
    )


def test_the_base_frame_may_name_its_arm(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.replace("{arm}_base", "PSM3_base"))
    assert load_limits(path, "PSM3").frame_of("PSM3") == "PSM3_base" == load_limits().frame_of("PSM3")


@pytest.mark.parametrize(
    ("name", "content"), [("folder", None), ("utf-16", "a: ä".encode("utf-16")), ("x" * 300, None)]
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif len(name) < 100:
        path.mkdir()
    with pytest.raises(BadInputError, match="cannot read the limits"):
        load_limits(path)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"cannot read the limits nowhere\.yaml"):
        load_limits("nowhere.yaml")


def test_a_speed_scales_what_a_slower_motion_has_less_of_and_nothing_else() -> None:
    limits, slow = load_limits(), load_limits().scaled(0.25)
    ratios = {
        name: getattr(slow, name) / getattr(limits, name)
        for name in Limits.__dataclass_fields__
        if "max_" in name or "speed" in name
    }
    scaled = {name: ratio for name, ratio in ratios.items() if ratio != 1}
    powers = {
        "_m_per_s": 0.25,
        "_rad_per_s": 0.25,
        "_m_per_s2": 0.25**2,
        "_rad_per_s2": 0.25**2,
        "_m_per_s3": 0.25**3,
        "_rad_per_s3": 0.25**3,
    }
    assert len(scaled) == 8
    for name, ratio in scaled.items():
        assert ratio == pytest.approx(
            next(power for ending, power in powers.items() if name.endswith(ending))
        )
    for speed in (0.0, 1.1, float("nan")):
        with pytest.raises(BadInputError, match=r"--speed .*: pass a finite number"):
            limits.scaled(speed)
