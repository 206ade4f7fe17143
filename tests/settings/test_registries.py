"""The tables of algorithms, sparsifiers and tasks: what they refuse, and modules named by `--import`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from l0_surgical.commands.main import main
from l0_surgical.settings.algorithm import GoalConfig
from l0_surgical.settings.presets import preset
from l0_surgical.settings.registry import (
    ALGORITHMS,
    SPARSIFIERS,
    load,
    register_algorithm,
    register_sparsifier,
)
from l0_surgical.settings.training import as_dict, from_dict
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import TASKS, get_task, register_task


@pytest.fixture(autouse=True)
def tables_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (ALGORITHMS, SPARSIFIERS, TASKS):
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    monkeypatch.setenv("L0_SURGICAL_IMPORT", "")


@dataclass(frozen=True)
class Toy(GoalConfig):
    name: ClassVar[str] = "toy"
    learner: ClassVar[str] = "toys:Toy"


@dataclass(frozen=True)
class ToySettings:
    share: float = 0.5


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (
            lambda: ALGORITHMS["sarsa"],
            r"unknown algorithm 'sarsa'; choose ddpg, dqn or ppo, or .*register_algorithm",
        ),
        (
            lambda: SPARSIFIERS["l9"],
            r"unknown regularizer 'l9'; choose none, l0, l1 or l2, or .*register_sparsifier",
        ),
        (lambda: get_task("nowhere"), r"unknown task 'nowhere'; known are needle-reach, cartpole"),
        (lambda: preset("best", "cartpole", "sarsa"), r"--algorithm sarsa: choose ddpg, dqn or ppo"),
        (
            lambda: dataclasses.replace(preset("best"), regularizer=("l9",)).validate(),
            r"--regularizer l9: choose none",
        ),
        (
            lambda: from_dict({**as_dict(preset("best")), "sparsifiers": {"l9": {}}}),
            r"unknown regularizer 'l9'",
        ),
    ],
)
def test_an_unknown_name_lists_the_known_and_how_to_add_one(ask: Callable[[], object], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        ask()


def test_a_name_is_taken_once() -> None:
    register_algorithm(Toy)
    register_sparsifier("toy", "toys:make", settings=ToySettings)
    register_task("toy", lambda: get_task("needle-reach"), "goal")
    for again, kind in (
        (lambda: register_algorithm(Toy), "algorithm"),
        (lambda: register_sparsifier("toy", "toys:make"), "regularizer"),
        (lambda: register_task("toy", lambda: get_task("needle-reach"), "goal"), "task"),
    ):
        with pytest.raises(BadInputError, match=f"there is a {kind} 'toy' already; choose another name"):
            again()


def test_what_is_registered_is_a_setting_like_any_other() -> None:
    register_algorithm(Toy)
    register_sparsifier("toy", "toys:make", "Toy", ToySettings)
    config = dataclasses.replace(
        preset("best", algorithm="toy"), regularizer=("toy",), sparsifiers={"toy": ToySettings(0.25)}
    )
    config.validate()
    assert config.algorithm == Toy()
    assert (config.section("toy").share, config.section("l0")) == (0.25, None)
    assert as_dict(config)["sparsifiers"] == {"toy": {"share": 0.25}}
    assert from_dict(as_dict(config)) == config
    with pytest.raises(BadInputError, match=r"--toy.hidden 0: pass a whole number >= 1"):
        dataclasses.replace(config, algorithm=Toy(hidden=(0,))).validate()
    with pytest.raises(BadInputError, match=r"--toy.share nan: pass a finite number"):
        dataclasses.replace(config, sparsifiers={"toy": ToySettings(float("nan"))}).validate()


def test_what_cannot_be_registered_is_refused() -> None:
    nameless = dataclasses.make_dataclass("Nameless", [], bases=(GoalConfig,), frozen=True)
    bare = dataclasses.make_dataclass("Bare", ["share"], frozen=True)
    thawed = dataclasses.make_dataclass("Thawed", [("share", float, 0.5)])
    for register, says in (
        (lambda: register_algorithm(ToySettings), "must be a subclass of AlgorithmConfig"),
        (lambda: register_algorithm(nameless), "need the class variables name, learner and experience"),
        (lambda: register_sparsifier("bare", "toys:make", settings=bare), "need a default for share"),
        (lambda: register_sparsifier("thawed", "toys:make", settings=thawed), "must be a dataclass"),
        (lambda: register_sparsifier("two words", "toys:make"), "choose one without spaces"),
        (lambda: register_task("toy", lambda: get_task("needle-reach"), "episodic"), "choose goal or vector"),
        (lambda: load("nowhere:Toy"), "'nowhere:Toy' cannot be loaded"),
        (lambda: load("l0_surgical.policy:Toy"), "cannot be loaded"),
    ):
        with pytest.raises(BadInputError, match=says):
            register()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, "the module cannot be imported: ModuleNotFoundError: No module named"),
        ("raise RuntimeError('no needle')", "the module cannot be imported: RuntimeError: no needle"),
        ("raise SystemExit(3)", "the module cannot be imported: SystemExit: 3"),
        ("value = 1", "the module registers no algorithm, no regularizer and no task"),
        (
            "from l0_surgical.settings.registry import register_sparsifier\nregister_sparsifier('l0', 'a:b')",
            "there is a regularizer 'l0' already",
        ),
    ],
    ids=["absent", "raises", "exits", "empty", "taken"],
)
def test_a_module_that_is_no_good_is_refused_in_one_line(
    source: str | None,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    name = f"toys_{request.node.callspec.id}"
    if source is not None:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    assert main(["train", "--import", name, "--out", str(run)]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line)
    assert says in line
    assert not run.exists()


def test_import_without_a_module_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--import"]) == 2
    assert "--import names no module" in capsys.readouterr().err


def test_a_setting_of_another_algorithm_says_which_to_pass(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "cartpole", "--ddpg.hidden", "8"]) == 2
    assert "--ddpg.hidden is a setting of ddpg, and this is a run of dqn; pass --algorithm ddpg" in (
        capsys.readouterr().err
    )


def test_a_run_of_the_first_release_is_read() -> None:
    """It held the sections of all algorithms."""
    config = preset("best", "cartpole", "ppo")
    old = as_dict(config)
    for name in ("ddpg", "dqn"):
        old[name] = as_dict(preset("best", "cartpole" if name == "dqn" else "needle-reach", name))[name]
    assert from_dict(old) == config
