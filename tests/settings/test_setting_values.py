"""Every setting with values that nobody means: refused in one line that names it, or good for a training to
its end."""

import csv
import dataclasses
import math
import re
import tempfile
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0_surgical import training
from l0_surgical.commands.main import main
from l0_surgical.compression.request import Request
from l0_surgical.experiments.suites.classic import SuiteConfig
from l0_surgical.settings.algorithm import AlgorithmConfig
from l0_surgical.settings.presets import preset
from l0_surgical.settings.registry import ALGORITHMS
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.bounds import Bound
from l0_surgical.system.errors import BadInputError

ROUNDS = 3
FOREVER = 10**9
"""The most of a period or a start: not in this training."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of a section ("" for the run itself) and what it holds: one or several of a kind, one of some
    choices, within a bound."""

    section: str
    name: str
    is_tuple: bool
    kind: type
    choices: tuple[Any, ...]
    bound: Bound | None

    @property
    def flag(self) -> str:
        return f"--{self.section}{'.' if self.section else ''}{self.name.replace('_', '-')}"

    def put(self, config: TrainingConfig, value: Any) -> TrainingConfig:
        """The configuration with this setting changed."""
        held = (value,) if self.is_tuple and value != () else value
        if not self.section:
            return dataclasses.replace(config, **{self.name: held})
        field = "algorithm" if self.section in ALGORITHMS else self.section
        section = dataclasses.replace(getattr(config, field), **{self.name: held})
        return dataclasses.replace(config, **{field: section})

    def good_values(self) -> list[Any]:
        """The ends of what is allowed, where a round does not get long by them, and something between."""
        if self.kind is float:
            bound = self.bound
            low = bound.least if bound.least is not None else math.nextafter(bound.above, math.inf)
            high = bound.most if bound.most is not None else math.nextafter(bound.below, -math.inf)
            return [low, high, (low + high) / 2, *(0.5 for _ in [0] if low < 0.5 < high)]
        if self.kind is int:
            return [
                self.bound.least,
                *([FOREVER] if self.bound.most == FOREVER else []),
                *([()] if self.name == "hidden" else []),
            ]
        return list(self.choices)


def settings_of(record: type, section: str = "") -> Iterator[Setting]:
    hints = typing.get_type_hints(record, include_extras=True)
    for name in (field.name for field in dataclasses.fields(record)):
        hint = hints[name]
        if hint is AlgorithmConfig or get_origin(hint) is Mapping:
            continue
        if dataclasses.is_dataclass(hint):
            yield from settings_of(hint, name)
            continue
        bound, is_tuple = None, False
        while get_origin(hint) not in (None, Literal):
            if get_origin(hint) is Annotated:
                bound = next((one for one in hint.__metadata__ if isinstance(one, Bound)), bound)
            is_tuple |= get_origin(hint) is tuple
            hint = get_args(hint)[0]
        yield Setting(
            section, name, is_tuple, hint, get_args(hint) or ((False, True) if hint is bool else ()), bound
        )


SETTINGS = {name: [*settings_of(TrainingConfig), *settings_of(ALGORITHMS[name], name)] for name in ALGORITHMS}
TEXTS, TRUTHS, FLOATS = (
    {setting.flag for each in SETTINGS.values() for setting in each if setting.kind is kind}
    for kind in (str, bool, float)
)


def tiny(algorithm: str) -> TrainingConfig:
    """A training whose rounds take milliseconds."""
    config = preset("best", "needle-reach" if algorithm == "ddpg" else "cartpole", algorithm)
    few = {
        "updates_per_cycle": 2,
        "cycles_per_round": 5,
        "learning_starts": 4,
        "buffer_size": 64,
        "batch_size": 8,
    }
    own = {
        "ddpg": {"updates_per_episode": 2, "batch_size": 8},
        "dqn": {"environments": 2, "steps_per_cycle": 2, **few},
        "ppo": {"environments": 2, "horizon": 10, "minibatch_size": 10, "epochs": 2},
    }
    sections = {
        "algorithm": dataclasses.replace(config.algorithm, hidden=(4,), **own[algorithm]),
        "sparsity": dataclasses.replace(config.sparsity, penalty_start=1, finetune_start=None),
    }
    counts = {
        "evaluation_episodes": 1,
        "final_evaluation_episodes": 1,
        "demonstration_episodes": 1,
        "evaluate_every": 2,
        "threads": 1,
    }
    return dataclasses.replace(config, regularizer=("l0",), **counts, **sections)


@pytest.mark.parametrize(
    "record", [TrainingConfig, *map(ALGORITHMS.__getitem__, ALGORITHMS), SuiteConfig, Request]
)
def test_every_number_has_bounds_at_both_ends(record: type) -> None:
    numbers = [setting for setting in settings_of(record) if setting.kind in (int, float)]
    assert len(numbers) >= 4
    for setting in numbers:
        assert setting.bound is not None, setting.flag
        assert setting.bound.is_too_low(-(10.0**10)), setting.flag
        assert setting.bound.is_too_high(10.0**16), setting.flag


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("value", "takers"),
    [
        *[(value, set()) for value in (math.nan, math.inf, -math.inf, 1e308, 2**63, 10**5000, [1], b"x")],
        ("x", TEXTS - {"--preset", "--regularizer"}),
        (True, TRUTHS),
        (None, {"--sparsity.finetune-start"}),
        (-1, {"--sparsity.stretch-low", "--sparsity.initial-log-alpha", "--dqn.initial-value"}),
        (0.5, FLOATS - {"--sparsity.stretch-low", "--sparsity.stretch-high"}),
        (1e9, set()),
    ],
    ids=lambda value: (
        re.sub(r"\W", "", str(value)[:6]) if not isinstance(value, set | int) or value == -1 else ""
    ),
)
def test_only_these_settings_take(value: Any, takers: set[str], algorithm: str) -> None:
    """Of all sections; the others are named with the value and what to pass instead."""
    config = tiny(algorithm)
    refusals = {setting.flag: refusal(setting.put(config, value)) for setting in SETTINGS[algorithm]}
    assert {flag for flag, said in refusals.items() if said is None} == takers & refusals.keys()
    for flag, said in refusals.items():
        assert said is None or re.fullmatch(
            rf"{flag} .+: (pass|choose) .+", said
        )  # one line: a dot matches no line's end


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_count_is_at_least_one(algorithm: str) -> None:
    """Zero is a seed, no limit, or the start."""
    config = tiny(algorithm)
    counts = [setting for setting in SETTINGS[algorithm] if setting.kind is int]
    refusals = {setting.flag: refusal(setting.put(config, 0)) for setting in counts}
    starts = {
        "--sparsity.penalty-start",
        "--sparsity.penalty-ramp",
        "--sparsity.finetune-start",
        "--ddpg.dex-anneal-episodes",
    }
    for flag in {"--seed", "--demonstration-seed", "--threads", *starts}:
        said = refusals.pop(flag, None)
        assert said is None or "pass a round after the penalty's (1)" in said
    for flag, said in refusals.items():
        assert said.startswith(f"{flag} 0: pass a whole number >= 1 and <= ")


def refusal(config: TrainingConfig) -> str | None:
    try:
        config.validate()
    except BadInputError as error:
        return str(error)
    return None


def test_presets_are_valid() -> None:
    for name in ("best", "paper"):
        for task in ("needle-reach", "cartpole", "acrobot", "lunar-lander", "MountainCar-v0"):
            for algorithm in ALGORITHMS:
                preset(name, task, algorithm).validate()


CHANGES = {
    algorithm: [
        (setting, value)
        for setting in SETTINGS[algorithm]
        if setting.name not in ("task", "device", "regularizer", "episodes", "steps")
        for value in setting.good_values()
    ]
    for algorithm in ALGORITHMS
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=20, derandomize=True, database=None, deadline=None)
@given(data=st.data())
def test_whatever_is_taken_trains_three_rounds(algorithm: str, data: st.DataObject) -> None:
    """Up to eight settings at once, at the ends of their bounds; rules between settings may refuse them,
    before there is a run."""
    config = tiny(algorithm)
    for setting, value in data.draw(st.lists(st.sampled_from(CHANGES[algorithm]), max_size=8)):
        config = setting.put(config, value)
    steps = ROUNDS * getattr(config.algorithm, "steps_per_round", 1)
    config = dataclasses.replace(config, episodes=ROUNDS, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        try:
            summary = training.train(config, run)
        except BadInputError as error:
            assert re.fullmatch(r"--[\w.-]+ .+: .+", str(error))
            assert not run.exists()
            return
        assert [row["policy"] for row in summary["members"] if not Path(row["policy"]).exists()] == []
        with (run / "metrics.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row["round"]) for row in rows] == [
            number for number in range(ROUNDS) for _ in summary["members"]
        ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("cartpole --algorithm ppo --ppo.hidden -4", "--ppo.hidden -4: pass a whole number >= 1"),
        ("cartpole --dqn.hidden 0", "--dqn.hidden 0: pass a whole number >= 1"),
        ("--sparsity.initial-log-alpha nan", "--sparsity.initial-log-alpha nan: pass a finite number"),
        ("--seeds 0", "--seeds 0: pass a whole number >= 1"),
        ("--seeds 1000000000", "start further runs with another --seed"),
        (
            "--ddpg.hidden 256 1000000",
            "--ddpg.hidden 1000000: pass a whole number >= 1 and <= 4096; two such layers",
        ),
        ("--ddpg.buffer-size 1000000000000", "more would not fit into memory"),
        ("--ddpg.neighbours 65", "--ddpg.neighbours 65: pass at most the batch's size, 64"),
        ("--coefficient 1e-2 0.01", "name every member of the grid once"),
        ("--budget nan", "--budget nan: pass a finite number >= 0"),
        ("--budget=-1", "--budget -1.0: pass a finite number >= 0"),
        ("--budget inf", "--budget inf: pass a finite number >= 0"),
    ],
)
def test_the_command_refuses_in_one_line_and_leaves_nothing(
    arguments: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", *arguments.split(), "--out", str(tmp_path / "run")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = (line for line in output.err.splitlines() if line)
    assert line.startswith("l0-surgical: --")
    assert says in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("evaluate POLICY --episodes 0", "--episodes 0: pass a whole number >= 1"),
        ("evaluate POLICY --episodes 1000000000", "run several with other seeds"),
        ("evaluate POLICY --seed -1", "--seed -1: pass a whole number >= 0"),
        ("evaluate POLICY --jobs 0", "--jobs 0: pass a whole number >= 1"),
        ("compress POLICY --out FILE --rank 0", "--rank 0: pass a whole number >= 1"),
        ("compress POLICY --out FILE --ranks 1:100000000000000", "--ranks 1:100000000000000: give A:B"),
        ("compress POLICY --out FILE --keep nan", "--keep nan: pass a finite number > 0 and <= 1"),
        (
            "compress POLICY --out FILE --confidence 1",
            "--confidence 1.0: pass a finite number >= 0.5 and < 1",
        ),
        ("compress POLICY --out FILE --seed 100000000000000000000", "--seed 100000000000000000000: pass"),
        ("suite classic --out FILE --jobs 0", "--jobs 0: pass a whole number >= 1"),
        ("suite classic --out FILE --seeds 0", "--seeds 0: pass a whole number >= 1"),
        ("suite classic --out FILE --coefficients inf", "--coefficients inf: pass a finite number >= 0"),
        ("suite classic --out FILE --temperatures 0.1234567 0.1234568", "apart in six digits"),
        ("suite classic --out FILE --temperatures 0.6666667", "not the preset's 0.666667"),
    ],
)
def test_so_do_the_other_commands(
    arguments: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    named = {"POLICY": "needle-reach-l0-compressed", "FILE": str(tmp_path / "file")}
    assert main([named.get(word, word) for word in arguments.split()]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert says in [line for line in output.err.splitlines() if line][-1]
    assert list(tmp_path.iterdir()) == []
