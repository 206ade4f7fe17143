"""No engine and no export lets an action leave the field's limits, whatever their type, symmetry and size."""

import ctypes
import dataclasses
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from example_policies import random_policy

from l0_surgical import runtime
from l0_surgical.policy import Field, Policy, PolicyFileError, policy_bytes, policy_from_bytes, save_policy
from l0_surgical.runtime import ReferenceEngine, engines
from l0_surgical.runtime.c_export import FLAGS, export_c
from l0_surgical.runtime.onnx_export import onnx_model, onnx_session
from tests.test_docs import python_blocks

# the nearest float32 of 0.1, 0.3 and -0.79 lie outside of these limits
LIMITS = ((0.0, 5.0), (-0.79, 0.1), (1e-3, 0.3), (-1e-30, 2e-30), (-3.4e38, 3.4e38), (0.1, 0.1 + 1e-8))
OBSERVATIONS = 3 * np.random.default_rng(0).normal(size=(40, 10)).astype(np.float32)


def uneven(activation: str, gain: float) -> Policy:
    """Six outputs, each with its own limits, that reach both of them."""
    policy = random_policy(1, (10, 12, 6))
    last = policy.layers[-1]
    weight = dataclasses.replace(last.weight, weight=gain * last.weight.to_dense())
    fields = tuple(Field(f"action_{axis}", 1, "1", *limits) for axis, limits in enumerate(LIMITS))
    layers = (*policy.layers[:-1], dataclasses.replace(last, weight=weight, activation=activation))
    return dataclasses.replace(policy, layers=layers, outputs=fields)


def by_row(act: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.array([np.array(act(observation)) for observation in OBSERVATIONS])


def by_c(policy: Policy, folder: Path) -> np.ndarray:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    export_c(policy, folder / "p.c")
    subprocess.run(["cc", *FLAGS, "-shared", "-fPIC", "p.c", "-o", "p.so", "-lm"], cwd=folder, check=True)
    act, actions = ctypes.CDLL(str(folder / "p.so")).p_act, np.zeros((len(OBSERVATIONS), 6), np.float32)
    for observation, action in zip(OBSERVATIONS, actions, strict=True):
        assert act(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p)) == 0
    return actions


def by_the_page(policy: Policy, folder: Path) -> np.ndarray:
    reader: dict = {}
    exec(python_blocks("policy_file.md"), reader)
    save_policy(policy, folder / "p.safetensors")
    description, tensors = reader["read"](folder / "p.safetensors")
    return by_row(lambda observation: reader["act"](description, tensors, observation))


def by_torch(policy: Policy, folder: Path) -> np.ndarray:
    pytest.importorskip("torch")
    return by_row(engines.build("torch_eager", policy))


def by_onnx(policy: Policy, folder: Path) -> np.ndarray:
    pytest.importorskip("onnxruntime")
    return onnx_session(onnx_model(policy)).run(None, {"observation": OBSERVATIONS})[0]


ENGINES: dict[str, Callable[[Policy, Path], np.ndarray]] = {
    "reference": lambda policy, folder: ReferenceEngine(policy).act(OBSERVATIONS),
    "compiled": lambda policy, folder: by_row(runtime.compile(policy).act),
    "torch": by_torch,
    "onnx": by_onnx,
    "c": by_c,
    "the page's reader": by_the_page,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("activation", "gain"), [("tanh", 100.0), ("linear", 30.0)])
def test_actions_reach_their_own_limits_and_never_leave_them(
    engine: str, activation: str, gain: float, tmp_path: Path
) -> None:
    actions = ENGINES[engine](uneven(activation, gain), tmp_path).astype(np.float64)
    low, high = np.array(LIMITS).T
    assert (actions >= low).all(), actions.min(axis=0) - low
    assert (actions <= high).all(), actions.max(axis=0) - high
    reached = np.stack([actions.min(axis=0) - low, high - actions.max(axis=0)]) / np.maximum(
        abs(low), abs(high)
    )
    assert reached.max() < 3e-7, reached


def test_limits_come_back_from_the_file_as_they_are() -> None:
    policy = uneven("tanh", 1.0)
    assert [(part.low, part.high) for part in policy_from_bytes(policy_bytes(policy)).outputs] == list(LIMITS)


def test_float32_limits_are_the_nearest_inside() -> None:
    inside = np.nextafter(np.array([-0.79, 0.1], np.float32), np.float32(0))
    assert Field("x", 1, "1", -0.79, 0.1).float32_limits == tuple(inside.tolist())
    assert Field("x", 1, "1", -1, 0.5).float32_limits == (-1.0, 0.5)
    assert Field("x", 1, "1").float32_limits == (-np.inf, np.inf)


@pytest.mark.parametrize(
    "limits",
    [(np.nan, 1.0), (0.0, np.nan), (2.0, 1.0), (0.3, 0.3), (-np.inf, 1.0), (-1e300, 1e300), (0.0, 1e39)],
)
def test_limits_that_are_no_box_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(PolicyFileError, match="'x' needs finite limits with low < high"):
        Field("x", 1, "1", *limits)


def test_limits_without_a_float32_between_them_are_refused() -> None:
    with pytest.raises(PolicyFileError, match="no float32 number between"):
        Field("x", 1, "1", 0.1, float(np.nextafter(0.1, 1)))
