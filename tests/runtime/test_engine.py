"""The compiled engine against the reference: every form of a layer, what is refused, what is kept in the cache."""

import copy
import dataclasses
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from example_policies import random_policy

from l0_surgical.errors import BadInputError
from l0_surgical.low_rank import fold
from l0_surgical.policy_file import (
    Dense,
    Field,
    Layer,
    LowRank,
    Normalizer,
    PackedSparse,
    Policy,
    find_policy,
    load_policy,
    shipped_policies,
)
from l0_surgical.runtime import Engine, ReferenceEngine, compile
from l0_surgical.runtime.choice import Candidate, cache_file
from l0_surgical.runtime.layout import forms_of
from l0_surgical.simplify import remove_dead_units


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def observations(policy: Policy, count: int = 100) -> np.ndarray:
    generator = np.random.default_rng(7)
    scale = generator.choice((0.1, 1.0, 10.0), size=(count, 1))
    return policy.normalizer.mean + scale * policy.normalizer.scale * generator.normal(size=(count, policy.observation_size))


def with_weights(policy: Policy, make: object) -> Policy:
    layers = [Layer(make(layer.weight.to_dense()), layer.bias, layer.activation) for layer in policy.layers]
    return dataclasses.replace(policy, layers=tuple(layers))


def low_rank(weight: np.ndarray) -> LowRank:
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    return LowRank(u[:, :3] * s[:3], v[:3])


def assert_agrees(engine: Engine, policy: Policy) -> None:
    reference = ReferenceEngine(policy)
    for observation in observations(policy):
        np.testing.assert_allclose(engine.act(observation), reference.act(observation), atol=1e-5)


@pytest.mark.parametrize("name", shipped_policies())
def test_the_shipped_policies(name: str) -> None:
    policy = load_policy(find_policy(name))
    assert_agrees(compile(policy), policy)


@pytest.mark.parametrize("widths", [(1, 1), (10, 5), (4, 1, 2), (10, 16, 12, 5), (13, 67, 130, 9, 3), (30, 256, 256, 7)])
@pytest.mark.parametrize("density", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("representation", [Dense, PackedSparse.pack, low_rank])
def test_every_shape_density_and_representation_in_every_form(widths: tuple[int, ...], density: float, representation: object) -> None:
    policy = with_weights(random_policy(1, widths, density), representation)
    assert_agrees(compile(policy), policy)
    for choice in range(3):
        forms = [sorted(forms_of(layer)) for layer in policy.layers]
        chosen = [layer[choice % len(layer)] for layer in forms]
        engine = Engine(policy, policy, [[Candidate(form, 0.0)] for form in chosen])
        assert engine.forms == tuple(chosen)
        assert_agrees(engine, policy)


def test_dead_units_are_left_out() -> None:
    policy = load_policy(find_policy("needle-reach-l0"))
    first = compile(policy).explain().splitlines()[1]
    assert re.match(r"layer 1: 256 x 256, \d+ x \d+ alive, stored as dense, runs (dense|sparse) ", first), first
    rows, columns = map(int, re.search(r"(\d+) x (\d+) alive", first).groups())
    assert max(rows, columns) < 128


def test_the_forms_that_make_sense() -> None:
    policy = random_policy(density=1.0)
    assert [forms_of(layer) for layer in policy.layers] == [["dense"]] * 3
    assert forms_of(with_weights(policy, PackedSparse.pack).layers[0]) == ["dense", "sparse"]
    assert forms_of(fold(policy, 3).layers[0]) == ["dense", "sparse", "low rank"]
    assert forms_of(random_policy(density=0.1).layers[0]) == ["dense", "sparse"]


def test_read_entries_activations_and_outputs_without_limits() -> None:
    policy = random_policy(2, (6, 8, 3))
    layers = (policy.layers[0], dataclasses.replace(policy.layers[1], activation="linear"))
    policy = dataclasses.replace(
        policy,
        inputs=(Field("x", 9, "1"),),
        outputs=(Field("q", 2, "1"), Field("limited", 1, "m", -0.5, 0.25)),
        normalizer=Normalizer(np.arange(9.0), np.linspace(1, 2, 9)),
        input_index=np.array((8, 0, 3, 4, 1, 7)),
        layers=layers,
    )
    assert_agrees(compile(policy), policy)
    actions = np.array([compile(policy).act(observation).copy() for observation in observations(policy)])
    assert np.abs(actions[:, :2]).max() > 2
    assert (actions[:, 2] >= -0.5).all()
    assert (actions[:, 2] <= 0.25).all()


def test_lists_and_other_types_of_numbers() -> None:
    policy = random_policy()
    engine, observation = compile(policy), np.arange(10.0)
    expected = engine.act(observation).copy()
    for other in (list(range(10)), np.arange(10), np.arange(10, dtype=np.float32), np.arange(20.0)[::2] / 2):
        np.testing.assert_array_equal(engine.act(other), expected)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_acts_on_its_own(copied: Callable[[Engine], Engine]) -> None:
    engine, (one, other) = compile(random_policy()), observations(random_policy(), 2)
    first, second = (engine.act(observation).copy() for observation in (one, other))
    assert not np.array_equal(first, second)
    engine.act(one)
    twin = copied(engine)
    action = twin.act(other)
    np.testing.assert_array_equal(action, second)
    engine.act(one)
    np.testing.assert_array_equal(action, second)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("place", [0, 9])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_is_not_finite_is_refused_and_the_next_action_is_right(bad: float, place: int) -> None:
    policy = random_policy()
    engine, good = compile(policy), np.arange(10.0)
    expected = engine.act(good).copy()
    observation = good.copy()
    observation[place] = bad
    with pytest.raises(BadInputError, match=rf"NaN or infinite in entries \[{place}\]"):
        engine.act(observation)
    np.testing.assert_array_equal(engine.act(good), expected)


def test_an_entry_that_the_network_does_not_read_must_be_finite_too() -> None:
    policy = load_policy(find_policy("needle-reach-l0-compressed"))
    assert 5 not in policy.input_index
    observation = policy.normalizer.mean.astype(float)
    observation[5] = np.nan
    with pytest.raises(BadInputError, match=r"entries \[5\]"):
        compile(policy).act(observation)


def test_a_network_that_overflows_is_refused() -> None:
    policy = random_policy(clip=np.inf)
    big = Layer(Dense(np.full((5, 12), 3e38)), policy.layers[2].bias, "linear")
    policy = dataclasses.replace(policy, layers=(*policy.layers[:2], big), outputs=(Field("q", 5, "1"),))
    for engine in (compile(policy), ReferenceEngine(policy)):
        with pytest.raises(BadInputError, match="overflows"):
            engine.act(np.full(10, 1e30))


@pytest.mark.parametrize("shape", [(), (1,), (9,), (11,), (1, 10), (10, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="this policy needs 10 numbers"):
        compile(random_policy()).act(np.zeros(shape))


def test_nothing_is_allocated() -> None:
    engine = compile(load_policy(find_policy("needle-reach-dense")))
    observation = np.zeros(10)
    for _ in range(10):
        engine.act(observation)
    tracemalloc.start()
    for _ in itertools.repeat(None, 10):
        engine.act(observation)
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in itertools.repeat(None, 1000):
        engine.act(observation)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a float32 of the dense policy's widest layer would be 1 KiB
    assert after - before < 256
    assert peak - before < 512
    assert engine.act(observation) is engine.act(observation)


def test_the_choice_is_measured_once_and_can_be_read(own_cache: Path) -> None:
    policy = with_weights(random_policy(3, (10, 64, 5), 0.05), PackedSparse.pack)
    first = compile(policy)
    kept_in = cache_file(remove_dead_units(policy))
    assert kept_in.is_relative_to(own_cache)
    kept = json.loads(kept_in.read_bytes())
    assert [[form for form, _ in layer] for layer in kept] == [["dense", "sparse"]] * 2
    assert all(0 < seconds < 1 for layer in kept for _, seconds in layer)
    lines = first.explain().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("layer 0: 64 x 10, ")
    assert f"alive, stored as packed sparse, runs {first.forms[0]} (dense " in lines[0]
    # what is kept decides
    for form in ("dense", "sparse"):
        other = [[[name, 1.0 if name == form else 2.0] for name, _ in layer] for layer in kept]
        kept_in.write_text(json.dumps(other))
        assert compile(policy).forms == (form, form)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[[1]]", b'[[["dense", NaN]]]', b'"x"', b'[[["magic", 1.0]]]', b"\xff\xfe"])
def test_a_damaged_cache_is_made_anew(content: bytes) -> None:
    policy = with_weights(random_policy(), PackedSparse.pack)
    compile(policy)
    kept_in = cache_file(remove_dead_units(policy))
    sound = json.loads(kept_in.read_bytes())
    kept_in.write_bytes(content)
    assert_agrees(compile(policy), policy)
    again = json.loads(kept_in.read_bytes())
    assert [[form for form, _ in layer] for layer in again] == [[form for form, _ in layer] for layer in sound]


def test_a_cache_that_cannot_be_written_is_done_without(own_cache: Path) -> None:
    own_cache.parent.mkdir(exist_ok=True)
    own_cache.write_text("a file where the folder should be")
    policy = random_policy()
    assert_agrees(compile(policy), policy)


def test_it_runs_where_the_package_cannot_be_written_and_needs_no_torch(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
from l0_surgical.policy_file import find_policy, load_policy
from l0_surgical.runtime import compile
engine = compile(load_policy(find_policy("needle-reach-l0-compressed")))
assert engine.act(np.zeros(10)).shape == (5,)
assert not {"torch", "gymnasium", "pybullet", "onnx", "onnxruntime"} & set(sys.modules)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), "XDG_CACHE_HOME": "/proc/nowhere"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)
    assert list((tmp_path / "numba").rglob("*.nbc"))
