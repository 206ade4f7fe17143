import dataclasses
import re

import pytest

from l0_surgical.settings.presets import needle_reach, preset
from l0_surgical.settings.training import TrainingConfig, as_dict, from_dict
from l0_surgical.system.errors import BadInputError


def test_the_paper_preset_is_what_the_paper_prints():
    paper = preset("paper")
    ddpg = paper.algorithm
    assert (ddpg.batch_size, ddpg.buffer_size, ddpg.updates_per_episode, paper.episodes) == (
        64,
        10_000,
        50,
        200,
    )
    assert (ddpg.actor_learning_rate, ddpg.critic_learning_rate, ddpg.target_rate) == (1e-5, 1e-5, 1e-3)
    assert (ddpg.dex_coefficient, ddpg.dex_anneal_episodes, ddpg.neighbours, ddpg.noise_scale) == (
        5.0,
        0,
        5,
        0.1,
    )
    assert ddpg.relabel_fraction == pytest.approx(4 / 5)
    assert paper.demonstration_episodes * 50 == 5_000
    assert paper.coefficient == needle_reach.COEFFICIENTS == (5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 1, 2, 5)
    assert paper.sparsity.evaluation == "sampled"
    assert len(paper.members()) == 9


def test_the_grid_has_dense_members_once_per_seed():
    config = TrainingConfig(regularizer=("none", "l0"), coefficient=(0.1, 0.2), seeds=2, seed=5)
    names = [member.name for member in config.members()]
    assert names == [
        "dense-seed5",
        "dense-seed6",
        "l0-0.1-seed5",
        "l0-0.1-seed6",
        "l0-0.2-seed5",
        "l0-0.2-seed6",
    ]


@pytest.mark.parametrize("name", ["best", "paper"])
def test_a_configuration_survives_json(name: str):
    assert from_dict(as_dict(preset(name))) == preset(name)


def test_coefficients_that_agree_in_six_digits_have_names_of_their_own():
    close = (0.01234567, 0.01234568, 0.1, 0.1 + 2**-56, 1 / 3, 0.333333, 2e-2, 5.0, 1e-5, 123456.0, 123456.5)
    names = [member.name for member in TrainingConfig(regularizer=("l0", "l1"), coefficient=close).members()]
    assert len(set(names)) == len(names) == 2 * len(close)
    for name, value in zip(names, close, strict=False):
        assert float(name.removeprefix("l0-").removesuffix("-seed0")) == value
    # where six digits are enough, names are what they always were
    assert [name for name in names[:11] if len(name) < 16] == [
        f"l0-{c}-seed0" for c in ("0.1", "0.02", "5", "1e-05", "123456")
    ]


def test_a_configuration_of_another_version_is_refused():
    data = as_dict(preset("best"))
    data["ddpg"]["momentum"] = 0.9
    with pytest.raises(BadInputError, match=r"another version.*ddpg: momentum"):
        from_dict(data)
    data = as_dict(preset("best"))
    del data["sparsity"]["threshold"], data["seeds"]
    with pytest.raises(BadInputError, match=r"another version.*sparsity: threshold"):
        from_dict(data)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"episodes": "200"}, "--episodes '200': pass a whole number"),
        ({"episodes": 200.0}, "--episodes 200.0: pass a whole number"),
        ({"seeds": True}, "--seeds True: pass a whole number"),
        ({"coefficient": 0.1}, "--coefficient 0.1: pass a tuple"),
        ({"coefficient": [0.1, [2]]}, "--coefficient [2]: pass a finite number"),
        ({"coefficient": [float("nan")]}, "--coefficient nan: pass a finite number"),
        ({"algorithm": "sarsa"}, "--algorithm 'sarsa': choose ddpg, dqn or ppo"),
        ({"task": None}, "--task None: pass a text"),
        ({"ddpg": None}, "ddpg holds no settings"),
        ({"ddpg": [1, 2]}, "ddpg holds no settings"),
        ({"sparsity": {"temperature": float("inf")}}, "--sparsity.temperature inf: pass a finite number"),
        ({"ddpg": {"hidden": [64, "x"]}}, "--ddpg.hidden 'x': pass a whole number"),
        ({"sparsifiers": {"l1": {}}}, "l1 has no settings of its own"),
    ],
)
def test_a_damaged_configuration_is_refused_in_one_line(changes: dict, says: str):
    data = as_dict(preset("best"))
    for name, value in changes.items():
        data[name] = {**data.get(name, {}), **value} if isinstance(value, dict) else value
    with pytest.raises(
        BadInputError, match=rf"^the run's configuration is damaged \(.*{re.escape(says)}.*; train anew$"
    ):
        from_dict(data)


@pytest.mark.parametrize("data", [None, [], 3, "text", {}])
def test_what_is_no_configuration_is_refused(data: object):
    with pytest.raises(BadInputError, match="the run's configuration is damaged"):
        from_dict(data)


def changed(config: TrainingConfig, section: str, changes: dict) -> object:
    field = "algorithm" if section == config.algorithm.name else section
    return dataclasses.replace(getattr(config, field), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficient": (-1.0,)}, "--coefficient -1.0: pass a finite number >= 0"),
        ({"coefficient": (float("nan"),)}, "--coefficient nan"),
        ({"coefficient": ()}, "--regularizer"),
        ({"coefficient": (0.1, 0.1)}, "name every member of the grid once"),
        ({"episodes": 0}, "--episodes 0: pass a whole number >= 1 and <= 1000000"),
        ({"seed": -1}, "--seed -1"),
        ({"ddpg": {"discount": 1.0}}, "--ddpg.discount 1.0"),
        ({"ddpg": {"target_rate": 0.0}}, "--ddpg.target-rate 0.0"),
        ({"ddpg": {"batch_size": 0}}, "--ddpg.batch-size 0"),
        ({"sparsity": {"stretch_low": 0.1}}, "--sparsity.stretch-low 0.1"),
        ({"sparsity": {"temperature": 0.0}}, "--sparsity.temperature 0.0"),
    ],
)
def test_bad_settings_are_named_with_their_value(changes: dict, message: str):
    config = preset("best")
    changes = {
        "algorithm" if k == "ddpg" else k: changed(config, k, v) if isinstance(v, dict) else v
        for k, v in changes.items()
    }
    with pytest.raises(BadInputError, match=message.replace(".", r"\.")):
        dataclasses.replace(config, **changes).validate()
    preset("best").validate()


def test_an_unknown_preset_is_refused():
    with pytest.raises(BadInputError, match="choose best or paper"):
        preset("worst")
    with pytest.raises(BadInputError, match="--algorithm sarsa: choose ddpg, dqn or ppo"):
        preset("best", "cartpole", "sarsa")
