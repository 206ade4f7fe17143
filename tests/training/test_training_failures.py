"""Runs whose environment fails or which are told to stop: one member stops alone, nothing that was learned is
lost, and a run goes on."""

import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import misbehaving
import numpy as np
import pytest
from misbehaving import GOAL, LINE, Goal, Line

from l0_surgical import training
from l0_surgical.evaluation import Evaluator, episode_seeds
from l0_surgical.policy import Policy, load_policy
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.tasks import get_task
from tests.small import small_config

ALGORITHMS = ("dqn", "ppo", "ddpg")
BASES = {"dqn": LINE, "ppo": LINE, "ddpg": GOAL}


def small(algorithm: str, task: str, **changes: object) -> TrainingConfig:
    """Four rounds of two members, each of them validated; every round begins new environments."""
    settings: dict[str, Any] = {
        "task": task,
        "seeds": 2,
        "evaluate_every": 1,
        "evaluation_episodes": 2,
        "checkpoint_every": 1,
        "threads": 1,
    }
    settings |= {"final_evaluation_episodes": 3, **changes}
    if algorithm == "ddpg":
        return small_config(**settings)
    config = preset("best", task, algorithm)
    own = {
        "dqn": {"cycles_per_round": 8, "updates_per_cycle": 2, "learning_starts": 40},
        "ppo": {"horizon": 32, "minibatch_size": 32},
    }
    section = dataclasses.replace(config.algorithm, hidden=(8,), environments=3, **own[algorithm])
    sparsity = dataclasses.replace(config.sparsity, penalty_start=1)
    steps = 4 * section.steps_per_round
    return dataclasses.replace(config, steps=steps, algorithm=section, sparsity=sparsity, **settings)


@pytest.fixture(autouse=True)
def goal_tasks_have_their_expert(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Which no registered id has. A signal that no training takes fails the test and does not end it."""
    monkeypatch.setattr(
        "l0_surgical.training.run.get_task",
        lambda name: misbehaving.goal_task(name) if "Goal" in name else get_task(name),
    )
    former = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("nobody took the signal"))
    yield
    signal.signal(signal.SIGTERM, former)


def faulty(algorithm: str, stream: Any, member: int, number: int, **options: Any) -> str:
    """A task that has a fault in one episode of a stream."""
    seed = episode_seeds(stream, member, number + 1)[-1]
    return misbehaving.register(
        BASES[algorithm], f"{'Goal' if algorithm == 'ddpg' else 'Line'}Faulty", seed=seed, **options
    )


def same_weights(one: Policy, other: Policy) -> bool:
    return all(
        np.array_equal(a.weight.to_dense(), b.weight.to_dense())
        for a, b in zip(one.layers, other.layers, strict=True)
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Policy]]:
    """The members' policies of runs in which nothing fails."""
    policies = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "l0_surgical.training.run.get_task",
            lambda name: misbehaving.goal_task(name) if "Goal" in name else get_task(name),
        )
        for algorithm in ALGORITHMS:
            summary = training.train(
                small(algorithm, BASES[algorithm]), tmp_path_factory.mktemp(algorithm) / "run"
            )
            policies[algorithm] = [load_policy(row["policy"]) for row in summary["members"]]
    return policies


# an episode of member 1, counted from 0, in the stream; dqn and ppo begin three episodes in every round
PLACES = [
    ("train", 0, "dqn"),
    ("train", 7, "dqn"),
    ("train", 4, "ppo"),
    ("train", 2, "ddpg"),
    *(("validation", 1, a) for a in ALGORITHMS),
]


@pytest.mark.parametrize(("stream", "number", "algorithm"), PLACES)
@pytest.mark.parametrize("fault", ["raises", "nan"])
def test_a_member_stops_alone(
    algorithm: str, stream: str, number: int, fault: str, whole: dict, tmp_path: Path
) -> None:
    task = faulty(algorithm, stream, 1, number, fault=fault)
    healthy, stopped = training.train(small(algorithm, task), tmp_path / "run")["members"]
    assert same_weights(load_policy(healthy["policy"]), whole[algorithm][0])
    assert stopped["policy"] is None
    assert ("validation" in stopped["failed"]) == (stream == "validation")
    assert "step 3" in stopped["failed"] and "misbehaving/" in stopped["failed"]
    assert f"(seed {episode_seeds(stream, 1, number + 1)[-1]})" in stopped["failed"]
    left = load_policy(stopped["unevaluated"])
    assert left.provenance["failed"] == stopped["failed"] and not left.evaluation
    assert [path.name for path in (tmp_path / "run" / "policies").iterdir()] == [Path(healthy["policy"]).name]
    assert (
        json.loads((tmp_path / "run" / "summary.json").read_text())["members"][1]["failed"]
        == stopped["failed"]
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_policy_that_cannot_be_evaluated_is_kept(algorithm: str, whole: dict, tmp_path: Path) -> None:
    (tmp_path / "switch").touch()
    task = faulty(algorithm, "test", 0, 1, fault="raises", while_there=tmp_path / "switch", once=True)
    first, second = training.train(small(algorithm, task), tmp_path / "run")["members"]
    assert (
        first["policy"] is None
        and first["failed"].startswith("final evaluation: ")
        and "episode 1" in first["failed"]
    )
    assert same_weights(load_policy(first["unevaluated"]), whole[algorithm][0])
    assert same_weights(load_policy(second["policy"]), whole[algorithm][1])
    (tmp_path / "run" / "summary.json").unlink()
    assert [row.get("failed") for row in training.resume(tmp_path / "run")["members"]] == [None, None]
    assert list((tmp_path / "run" / "unevaluated").iterdir()) == []


@pytest.mark.parametrize(("stream", "number", "algorithm"), [*PLACES, *(("test", 1, a) for a in ALGORITHMS)])
def test_where_every_member_stops_the_run_goes_on_when_the_task_is_mended(
    algorithm: str, stream: str, number: int, whole: dict, tmp_path: Path
) -> None:
    (tmp_path / "switch").touch()
    member = 0 if stream == "test" else 1
    task = faulty(algorithm, stream, member, number, fault="raises", while_there=tmp_path / "switch")
    config = small(algorithm, task, seed=1, seeds=1)
    with pytest.raises(
        L0SurgicalError,
        match=rf"member 0: .*step 3.*go on|evaluate again with: .*--resume {tmp_path / 'run'}",
    ) as caught:
        training.train(config, tmp_path / "run")
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (1, False)
    assert not (tmp_path / "run" / "summary.json").exists()
    assert len(list((tmp_path / "run" / "unevaluated").iterdir())) == 1
    (tmp_path / "switch").unlink()
    (row,) = training.resume(tmp_path / "run")["members"]
    uninterrupted = training.train(small(algorithm, BASES[algorithm], seed=1, seeds=1), tmp_path / "whole")[
        "members"
    ][0]
    assert same_weights(load_policy(row["policy"]), load_policy(uninterrupted["policy"]))
    assert row["env_steps"] == uninterrupted["env_steps"]
    assert list((tmp_path / "run" / "unevaluated").iterdir()) == []


def test_an_environment_that_can_no_longer_be_made_stops_its_members(tmp_path: Path) -> None:
    task = misbehaving.register(LINE, "LineGone", fault="making", while_there=tmp_path / "gone")
    config = small("dqn", task)

    def take_away(text: str, done: int, total: int) -> None:
        if done == 2:
            (tmp_path / "gone").touch()

    with pytest.raises(
        L0SurgicalError,
        match=r"every member stopped .member 0: round 2, the task .* cannot be made: Module.*; member 1",
    ):
        training.train(config, tmp_path / "run", progress=take_away)
    (tmp_path / "gone").unlink()
    assert all("failed" not in row for row in training.resume(tmp_path / "run")["members"])


@pytest.mark.parametrize(
    ("stream", "number", "algorithm"),
    [*PLACES, *(("test", 1, a) for a in ALGORITHMS), ("demonstrations", 1, "ddpg")],
)
def test_a_signal_is_heard_before_the_next_step(
    algorithm: str, stream: str, number: int, whole: dict, tmp_path: Path
) -> None:
    (tmp_path / "switch").touch()
    seeds = {"test": ("test", 0), "demonstrations": ("train", small(algorithm, LINE).demonstration_seed)}
    source, member = seeds.get(stream, (stream, 1))
    task = faulty(
        algorithm, source, member, number, fault="signals", while_there=tmp_path / "switch", once=True
    )
    kind = Goal if algorithm == "ddpg" else Line
    stepped = []
    signals = misbehaving.STEP_FAULTS["signals"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            misbehaving.STEP_FAULTS,
            "signals",
            lambda returned: (stepped.append(kind.stepped), signals(returned))[1],
        )
        with pytest.raises(
            training.InterruptedRun, match=f"go on with: l0-surgical train --resume {tmp_path / 'run'}"
        ):
            training.train(small(algorithm, task), tmp_path / "run")
    assert kind.stepped == stepped[0]
    summary = training.resume(tmp_path / "run")
    resumed = [load_policy(row["policy"]) for row in summary["members"]]
    assert all(same_weights(mine, theirs) for mine, theirs in zip(resumed, whole[algorithm], strict=True))
    rounds = [line.split(",")[:2] for line in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1:]]
    assert rounds == [[str(round_), str(member)] for round_ in range(4) for member in range(2)]


class Loud(Line):
    """Whose rewards have squares beyond single precision from the fourth episode of an environment on."""

    episodes = 0

    def _begin(self) -> None:
        super()._begin()
        self.episodes += 1

    def _move(self, action: int) -> tuple:
        observation, reward, *rest = super()._move(action)
        return observation, 1e30 * reward if self.episodes > 3 else reward, *rest


def test_members_that_diverge_leave_their_last_finite_weights(tmp_path: Path) -> None:
    gymnasium.registry.pop("misbehaving/Loud-v0", None)
    gymnasium.register("misbehaving/Loud-v0", Loud, max_episode_steps=20)
    with pytest.raises(
        L0SurgicalError,
        match=r"every member stopped .member 0: round 1, update .*; member 1: .*; lower the learn",
    ):
        training.train(small("ppo", "misbehaving/Loud-v0", checkpoint_every=4), tmp_path / "run")
    left = [load_policy(path) for path in (tmp_path / "run" / "unevaluated").iterdir()]
    assert len(left) == 2 and all("update" in policy.provenance["failed"] for policy in left)
    with pytest.raises(L0SurgicalError, match=r"member 0: round 1, update"):
        training.resume(tmp_path / "run")


def test_the_final_evaluation_in_processes_knows_the_task(whole: dict, tmp_path: Path) -> None:
    rows = training.train(small("ppo", LINE, threads=2), tmp_path / "run")["members"]
    training.set_threads(1)
    seeds = episode_seeds("test", 0, 3)
    with Evaluator(LINE) as evaluator:
        for row in rows:
            returns = [episode.total_reward for episode in evaluator.run(load_policy(row["policy"]), seeds)]
            assert row["return_mean"] == np.mean(returns)
