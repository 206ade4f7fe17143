"""Goal tasks that differ from NeedleReach: episodes that end early, success that is not reported, other
experts and boxes."""

import csv
import dataclasses
import io
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RescaleAction

from l0_surgical import training
from l0_surgical.algorithms.registry import open_setting
from l0_surgical.policy import Field
from l0_surgical.settings.presets import preset
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import get_task
from l0_surgical.training.run_folder import RunFolder
from tests.goal_tasks import (
    STEPS,
    EndingReach,
    Reach,
    RuledReach,
    expert,
    reach_cohort,
    reach_problem,
    reach_task,
)
from tests.small import small_config


def steps_played(row: dict[str, Any]) -> int:
    """Of an episode that ends at the goal: every step but the one that reaches it costs 1."""
    return round(1 - row["train_return"]) if row["train_success"] else STEPS


def test_environment_steps_are_counted_for_each_member(tmp_path: Path) -> None:
    cohort = reach_cohort(reach_task(RuledReach), tmp_path, episodes=6)
    rows = [cohort.train_round(episode) for episode in range(6)]
    played = [sum(steps_played(row) for row in column) for column in zip(*rows, strict=True)]
    assert cohort.env_steps == played
    assert sum(played) < 2 * 6 * STEPS
    assert [row["env_steps"] for row in cohort.figures()] == played


def test_a_checkpoint_holds_counts_and_the_bound_of_the_target(tmp_path: Path) -> None:
    task = reach_task(RuledReach, at_goal=1.0)
    whole, resumed = (reach_cohort(task, tmp_path) for _ in range(2))
    for episode in range(2):
        whole.train_round(episode)
    buffer = io.BytesIO()
    torch.save(whole.state_dict(), buffer)
    buffer.seek(0)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert resumed.learner.highest_rewards.tolist() == [1.0, 1.0]
    for episode in (2, 3):
        assert resumed.train_round(episode) == whole.train_round(episode)
    assert resumed.env_steps == whole.env_steps
    for ours, theirs in zip(
        resumed.learner.critic.parameters(), whole.learner.critic.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_checkpoint_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    cohort = reach_cohort(reach_task(), tmp_path)
    for part, name in (("learner", "highest_rewards"), ("replay", "left")):
        state = cohort.state_dict()
        del state[part][name]
        with pytest.raises(BadInputError, match=f"another version.*{name}.*delete checkpoint.pt"):
            cohort.load_state_dict(state)


@pytest.mark.parametrize("reports", [True, False])
def test_success_is_a_number_only_where_the_task_reports_it(reports: bool, tmp_path: Path) -> None:
    cohort = reach_cohort(reach_task(reports_success=reports), tmp_path, members=1)
    (row,), (validated,) = cohort.train_round(0), cohort.validate(0)
    with RunFolder.create(tmp_path / "run", cohort.config) as folder:
        folder.open_metrics(0, ())
        folder.log([{"round": 0, "member": 0, **row, **validated}])
    with (tmp_path / "run" / "metrics.csv").open(newline="") as stream:
        (read,) = csv.DictReader(stream)
    assert [read[name] in ("0.0", "1.0") for name in ("train_success", "validation_success")] == [reports] * 2
    assert [read[name] == "" for name in ("train_success", "validation_success")] == [not reports] * 2
    successes = cohort.problem.demonstrations.successes
    np.testing.assert_array_equal(successes, np.ones(4) if reports else np.full(4, np.nan))


def test_what_is_not_known_is_null_in_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = reach_task(reports_success=False)
    monkeypatch.setattr("l0_surgical.training.run.get_task", lambda name: task)
    silent = partial(gymnasium.make, task.name, reports_success=False)
    monkeypatch.setattr(
        "l0_surgical.evaluation.evaluator.get_task", lambda name: dataclasses.replace(task, make=silent)
    )
    summary = training.train(small_config(task=task.name, final_evaluation_episodes=1), tmp_path / "run")

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    (row,) = json.loads((tmp_path / "run" / "summary.json").read_text(), parse_constant=refuse)["members"]
    assert (row["success_rate"], row["return_ci95"]) == (None, [None, None])
    assert row["env_steps"] == summary["members"][0]["env_steps"] == 4 * STEPS


def test_a_task_that_ends_episodes_without_a_rule_for_it_is_told_so(tmp_path: Path) -> None:
    cohort = reach_cohort(reach_task(EndingReach), tmp_path)
    with pytest.warns(UserWarning, match=r"EndingReach-v0 can terminate.*compute_terminated"):
        for episode in range(6):
            cohort.train_round(episode)
    for kind in (Reach, RuledReach):
        (tmp_path / kind.__name__).mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cohort = reach_cohort(reach_task(kind), tmp_path / kind.__name__)
            for episode in range(6):
                cohort.train_round(episode)


def test_an_expert_that_never_succeeds_is_told(tmp_path: Path) -> None:
    lazy = dataclasses.replace(reach_task(), expert=lambda environment, observation: np.zeros(2, np.float32))
    with pytest.warns(UserWarning, match="none of its 4 episodes at the goal"):
        reach_problem(lazy, tmp_path)


class UnevenReach(Reach):
    """Moves by its action over what each axis can do; asserts that nothing leaves its box."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.action_space = gymnasium.spaces.Box(
            np.array([0.0, -0.79]), np.array([5.0, 0.79]), dtype=np.float64
        )

    def step(self, action: np.ndarray) -> tuple:
        assert self.action_space.contains(np.asarray(action, np.float64)), action
        return super().step((np.asarray(action) - [2.5, 0.0]) / [2.5, 0.79])


gymnasium.register("test/UnevenReach-v0", UnevenReach, max_episode_steps=STEPS, disable_env_checker=True)


def test_another_box_is_refused_and_trains_as_advised(tmp_path: Path) -> None:
    raw = dataclasses.replace(reach_task(UnevenReach), outputs=get_task("test/UnevenReach-v0").outputs)
    with pytest.raises(BadInputError, match=r"must lie in \[-1, 1\].*RescaleAction\(\.\.\., -1, 1\)"):
        reach_problem(raw, tmp_path)
    task = dataclasses.replace(
        reach_task(UnevenReach), make=lambda render_mode=None: RescaleAction(raw.make(), -1, 1)
    )
    cohort = reach_cohort(task, tmp_path)
    for episode in range(3):
        assert all(cohort.train_round(episode))
    assert [(part.low, part.high) for part in cohort.policy(0).outputs] == [(-1.0, 1.0)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"outputs": (Field("step", 2, "m", -0.1, 0.1),)},
            "outputs of test/Reach-v0 must have the limits of its actions",
        ),
        (
            {"expert": lambda *seen: 4 * expert(*seen)},
            r"expert of test/Reach-v0 gives actions up to 2, outside \[-1, 1\]",
        ),
    ],
)
def test_a_task_record_that_contradicts_its_environment_is_refused(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match=says):
        reach_problem(dataclasses.replace(reach_task(), **changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("task", "algorithm"), [("MountainCar-v0", "dqn"), ("needle-reach", "ddpg")])
def test_a_target_that_no_task_has_is_no_reason_to_stop(task: str, algorithm: Any) -> None:
    config = dataclasses.replace(preset("best", task, algorithm), stop_at_target=True)
    with pytest.raises(BadInputError, match=f"--stop-at-target.*{task}"):
        open_setting(config, get_task(task))
