"""ONNX in ONNX Runtime and C compiled by gcc, against the reference engine over 1 000 observations."""

import ctypes
import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from example_policies import random_policy
from rounding import LIMIT, assert_rounded, in_float64

from l0_surgical.policy import (
    Field,
    Normalizer,
    PackedSparse,
    Policy,
    find_policy,
    load_policy,
    shipped_policies,
)
from l0_surgical.policy.low_rank import fold
from l0_surgical.runtime import ReferenceEngine, c_export
from l0_surgical.runtime.c_export import FLAGS, export_c
from l0_surgical.runtime.onnx_export import export_onnx
from l0_surgical.runtime.verification import sample_observations, worst_difference
from l0_surgical.system.errors import BadInputError, L0SurgicalError

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def packed(policy: Policy) -> Policy:
    layers = [
        dataclasses.replace(layer, weight=PackedSparse.pack(layer.weight.to_dense()))
        for layer in policy.layers
    ]
    return dataclasses.replace(policy, layers=tuple(layers))


def unlimited() -> Policy:
    """Entries left out, no clipping, a linear end, outputs without limits beside one with."""
    policy = random_policy(2, (6, 8, 3))
    return dataclasses.replace(
        policy,
        inputs=(Field("x", 9, "1"),),
        outputs=(Field("q", 2, "1"), Field("limited", 1, "m", -0.5, 0.25)),
        normalizer=Normalizer(np.arange(9.0), np.linspace(1, 2, 9)),
        input_index=np.array((8, 0, 3, 4, 1, 7)),
        layers=(policy.layers[0], dataclasses.replace(policy.layers[1], activation="linear")),
    )


POLICIES = {
    **{name: lambda name=name: load_policy(find_policy(name)) for name in shipped_policies()},
    "dense": random_policy,
    "low rank": lambda: fold(random_policy(1, (10, 30, 20, 5)), 3),
    "packed": lambda: packed(random_policy(3, (10, 40, 40, 5), 0.1)),
    "nothing left": lambda: packed(random_policy(3, (4, 6, 2), 0.0)),
    "one layer": lambda: random_policy(4, (10, 5)),
    "unlimited": unlimited,
}


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    return POLICIES[request.param]()


def tolerance(policy: Policy) -> float:
    """How far an export may be from the reference engine: both are rounded."""
    return 2 * LIMIT * in_float64(policy, sample_observations(policy))[1].max()


def test_the_sample_is_wide(policy: Policy) -> None:
    observations = sample_observations(policy)
    assert observations.shape == (1000, policy.observation_size)
    normal = (observations - policy.normalizer.mean) / policy.normalizer.scale
    assert np.abs(normal).max() > 20
    assert 0.2 < (np.abs(normal) < 1).mean() < 0.8


def test_onnx_agrees_alone_and_in_batches(policy: Policy, tmp_path: Path) -> None:
    error = export_onnx(policy, tmp_path / "policy.onnx")
    assert error is not None
    assert error <= tolerance(policy)
    model = onnx.load(tmp_path / "policy.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props}["task"] == policy.task
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    observations = sample_observations(policy)
    assert_rounded(session.run(None, {"observation": observations})[0], policy, observations)
    assert_rounded(session.run(None, {"observation": observations[:1]})[0], policy, observations[:1])


@pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_c_compiles_without_a_warning_and_agrees(policy: Policy, compiler: str, tmp_path: Path) -> None:
    error = export_c(policy, tmp_path / "my_policy.c")
    assert error is not None
    assert error <= tolerance(policy)
    library = tmp_path / "policy.so"
    strict = [*FLAGS, "-Wshadow", "-Wstrict-prototypes", "-Wdouble-promotion"]
    subprocess.run(
        [compiler, *strict, "-shared", "-fPIC", str(tmp_path / "my_policy.c"), "-o", str(library), "-lm"],
        check=True,
    )
    act = ctypes.CDLL(str(library)).my_policy_act
    observations = sample_observations(policy)
    actions = np.zeros((1000, policy.action_size), dtype=np.float32)
    for observation, action in zip(observations, actions, strict=True):
        assert act(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p)) == 0
    assert_rounded(actions, policy, observations)


@pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
def test_c_refuses_what_is_not_finite_and_leaves_the_action(tmp_path: Path) -> None:
    export_c(load_policy(find_policy("needle-reach-l0-compressed")), tmp_path / "p.c")
    subprocess.run(
        [
            COMPILERS[0],
            *FLAGS,
            "-shared",
            "-fPIC",
            str(tmp_path / "p.c"),
            "-o",
            str(tmp_path / "p.so"),
            "-lm",
        ],
        check=True,
    )
    act = ctypes.CDLL(str(tmp_path / "p.so")).p_act
    for bad in (np.nan, np.inf, -np.inf):
        for place in range(10):
            observation, action = np.zeros(10, np.float32), np.full(5, 7, np.float32)
            observation[place] = bad
            assert (
                act(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p)) == 1
            )
            assert (action == 7).all()
    overflowing = random_policy(clip=np.inf)
    weight = dataclasses.replace(overflowing.layers[2].weight, weight=np.full((5, 12), 3e38))
    end = dataclasses.replace(overflowing.layers[2], weight=weight, activation="linear")
    export_c(random_policy(), tmp_path / "q.c")
    overflowing = dataclasses.replace(
        overflowing, layers=(*overflowing.layers[:2], end), outputs=(Field("q", 5, "1"),)
    )
    (tmp_path / "q.c").write_text(c_export.c_code(overflowing, "q")[1])
    subprocess.run(
        [
            COMPILERS[0],
            *FLAGS,
            "-shared",
            "-fPIC",
            str(tmp_path / "q.c"),
            "-o",
            str(tmp_path / "q.so"),
            "-lm",
        ],
        check=True,
    )
    observation, action = np.full(10, 1e30, np.float32), np.full(5, 7, np.float32)
    act = ctypes.CDLL(str(tmp_path / "q.so")).q_act
    assert act(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p)) == 2
    assert (action == 7).all()


@pytest.mark.skipif(not COMPILERS or not shutil.which("nm"), reason="there is no C compiler")
def test_c_needs_tanh_only(tmp_path: Path) -> None:
    export_c(load_policy(find_policy("needle-reach-l0-compressed")), tmp_path / "p.c")
    subprocess.run(
        [COMPILERS[0], *FLAGS, "-c", str(tmp_path / "p.c"), "-o", str(tmp_path / "p.o")], check=True
    )
    symbols = subprocess.run(["nm", str(tmp_path / "p.o")], capture_output=True, text=True, check=True).stdout
    assert re.findall(r" U (\w+)", symbols) == ["tanhf"]
    assert re.findall(r" T (\w+)", symbols) == ["p_act"]
    assert re.findall(r" [BbDdC] (\w+)", symbols) == []
    header = (tmp_path / "p.h").read_text()
    assert "#define P_OBSERVATION_SIZE 10" in header
    assert "eef_position 3 (scaled_m)" in header


def test_packed_layers_stay_packed(tmp_path: Path) -> None:
    policy = packed(random_policy(3, (10, 40, 40, 5), 0.1))
    _, source = c_export.c_code(policy, "p")
    numbers = sum(int(count) for count in re.findall(r"static const float weight\d\[(\d+)\]", source))
    assert numbers < policy.layers[1].weight.to_dense().size / 2
    _, source = c_export.c_code(fold(random_policy(1, (10, 30, 20, 5)), 3), "p")
    assert "static const float v1[90]" in source


@pytest.mark.parametrize("name", ["policy.h", "my-policy.c", "2.c", "policy"])
def test_a_name_that_is_no_identifier_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot name C functions"):
        export_c(random_policy(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_it_is_written_but_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert export_c(random_policy(), tmp_path / "p.c") is None
    assert (tmp_path / "p.h").exists()


@pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
def test_a_compiler_that_refuses_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_export, "FLAGS", ("--no-such-option",))
    with pytest.raises(L0SurgicalError, match="refuses"):
        export_c(random_policy(), tmp_path / "p.c")


def test_the_difference_is_seen() -> None:
    policy = random_policy()
    assert worst_difference(policy, lambda batch: ReferenceEngine(policy).act(batch) + 0.25) == pytest.approx(
        0.25, abs=1e-6
    )
