import dataclasses

import pytest

from l0_surgical.config import TrainingConfig, as_dict, from_dict
from l0_surgical.errors import BadInputError
from l0_surgical.presets import PAPER_COEFFICIENTS, preset


def test_the_paper_preset_is_what_the_paper_prints():
    paper = preset("paper")
    ddpg = paper.ddpg
    assert (ddpg.batch_size, ddpg.buffer_size, ddpg.updates_per_episode, paper.episodes) == (64, 10_000, 50, 200)
    assert (ddpg.actor_learning_rate, ddpg.critic_learning_rate, ddpg.target_rate) == (1e-5, 1e-5, 1e-3)
    assert (ddpg.dex_coefficient, ddpg.dex_anneal_episodes, ddpg.neighbours, ddpg.noise_scale) == (5.0, 0, 5, 0.1)
    assert ddpg.relabel_fraction == pytest.approx(4 / 5)
    assert paper.demonstration_episodes * 50 == 5_000
    assert paper.coefficient == PAPER_COEFFICIENTS == (5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 1, 2, 5)
    assert paper.sparsity.evaluation == "sampled"
    assert len(paper.members()) == 9


def test_the_grid_has_dense_members_once_per_seed():
    config = TrainingConfig(regularizer=("none", "l0"), coefficient=(0.1, 0.2), seeds=2, seed=5)
    names = [member.name for member in config.members()]
    assert names == ["dense-seed5", "dense-seed6", "l0-0.1-seed5", "l0-0.1-seed6", "l0-0.2-seed5", "l0-0.2-seed6"]


@pytest.mark.parametrize("name", ["best", "paper"])
def test_a_configuration_survives_json(name: str):
    assert from_dict(as_dict(preset(name))) == preset(name)


def test_a_configuration_of_another_version_is_refused():
    data = as_dict(preset("best"))
    data["ddpg"]["momentum"] = 0.9
    with pytest.raises(BadInputError, match=r"another version.*momentum"):
        from_dict(data)


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
    changes = {k: dataclasses.replace(getattr(config, k), **v) if isinstance(v, dict) else v for k, v in changes.items()}
    with pytest.raises(BadInputError, match=message.replace(".", r"\.")):
        dataclasses.replace(config, **changes).validate()
    preset("best").validate()


def test_an_unknown_preset_is_refused():
    with pytest.raises(BadInputError, match="choose best or paper"):
        preset("worst")
