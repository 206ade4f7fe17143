"""Compiled loops where nothing can be cached, or what was cached is damaged: they run, and give the same
bits."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

import l0_surgical
from l0_surgical.policy import find_policy, load_policy

PACKAGE = Path(l0_surgical.__file__).parent
LOOPS = """
from l0_surgical.system.compiled import cached_njit

@cached_njit("float64(float64)")
def eager(x):
    return 2 * x

@cached_njit(error_model="numpy")
def lazy(x):
    return 3 * x
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """numba's cache folder, of this test alone."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(folder: Path) -> ModuleType:
    """The module with the loops, as a process that starts would load it."""
    if not (folder / "loops.py").exists():
        (folder / "loops.py").write_text(LOOPS)
    specification = importlib.util.spec_from_file_location("loops", folder / "loops.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(module: ModuleType) -> tuple[int, int]:
    """Runs both loops; how many came from the cache and how many were compiled."""
    assert (module.eager(1.5), module.lazy(1.5)) == (3.0, 4.5)
    statistics = [module.eager.stats, module.lazy.stats]
    return sum(sum(s.cache_hits.values()) for s in statistics), sum(
        sum(s.cache_misses.values()) for s in statistics
    )


def test_the_machine_code_is_kept_for_the_next_process(tmp_path: Path, cache: Path) -> None:
    assert run(load(tmp_path)) == (0, 2)
    assert len(list(cache.rglob("*.nbc"))) == 2
    assert run(load(tmp_path)) == (2, 0)


def test_a_signature_admits_no_other_types(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        load(tmp_path).eager("text")


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\xff" * len(data)]
)
def test_a_damaged_cache_is_made_anew(tmp_path: Path, cache: Path, kind: str, damage: object) -> None:
    run(load(tmp_path))
    for path in cache.rglob(kind):
        path.write_bytes(damage(path.read_bytes()))
    assert run(load(tmp_path)) == (0, 2)
    assert run(load(tmp_path)) == (2, 0)


def test_a_cache_that_can_no_longer_be_written_is_done_without(tmp_path: Path, cache: Path) -> None:
    module = load(tmp_path)
    shutil.rmtree(cache)
    cache.write_text("a file where the folder was")
    assert run(module) == (0, 2)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package beside which nothing can be kept: __pycache__ is a file, which binds root as well
    as users."""
    folder = tmp_path_factory.mktemp("sealed")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for part in (
        folder,
        *filter(Path.is_dir, list((folder / PACKAGE.name).rglob("*"))),
        folder / PACKAGE.name,
    ):
        (part / "__pycache__").touch()
    return folder


def in_sealed(folder: Path, program: str, **variables: str) -> str:
    """What a program prints that runs on the sealed copy, with no place for a cache in the home or anywhere
    else."""
    program += f"\nimport l0_surgical; assert l0_surgical.__file__.startswith({str(folder)!r})"
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    }
    environment = kept | {"PYTHONPATH": str(folder)} | variables
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not list(folder.rglob("*.nb[ic]"))
    return ended.stdout


ACT = """
import sys
import numpy as np
from l0_surgical.policy import find_policy, load_policy
from l0_surgical.runtime import compile
engine = compile(load_policy(find_policy("needle-reach-l0-compressed")))
for number in range(20):
    print(engine.act(np.linspace(-number, number, 10)).tobytes().hex())
assert not {"torch", "gymnasium", "pybullet", "onnx", "onnxruntime"} & set(sys.modules)
"""


def test_a_policy_runs_where_nothing_can_be_written_and_gives_the_same_bits(sealed: Path) -> None:
    from l0_surgical import runtime

    engine = runtime.compile(load_policy(find_policy("needle-reach-l0-compressed")))
    expected = [engine.act(np.linspace(-number, number, 10)).tobytes().hex() for number in range(20)]
    assert in_sealed(sealed, ACT, HOME="/dev/null").split() == expected


TRAIN = """
import numpy as np
import torch
from l0_surgical.algorithms import goal_cohort
from l0_surgical.algorithms.optimizer import MemberAdam, ParameterGroup
from l0_surgical.algorithms.replay.priorities import SumTree
from l0_surgical.sparsity.gate_kernels import noise_offsets
weights = torch.linspace(-1, 1, 300).reshape(2, 150).requires_grad_()
adam = MemberAdam([ParameterGroup([weights], 1e-2)])
for _ in range(3):
    adam.zero_grad()
    weights.pow(4).sum().backward()
    adam.step()
tree = SumTree(1, 150, 0.6)
tree.add(np.arange(150)[None])
tree.update(np.arange(150)[None], weights[:1].detach().double().numpy())
slots, probabilities = tree.sample(np.linspace(0, 0.99, 20)[None], np.array([150]))
arrays = (noise_offsets(np.arange(5, dtype=np.uint64), 7, 100, 4096), weights.detach().numpy(), slots, probabilities)
result = [array.tobytes().hex() for array in arrays]
"""


def test_training_runs_where_nothing_can_be_written_and_gives_the_same_bits(sealed: Path) -> None:
    pytest.importorskip("torch")
    here: dict = {}
    exec(TRAIN, here)
    nowhere = {"XDG_CACHE_HOME": "/dev/null/x", "NUMBA_CACHE_DIR": "/dev/null/y"}
    assert in_sealed(sealed, TRAIN + "print(*result)", **nowhere).split() == here["result"]


def test_every_loop_is_cached_in_the_one_way() -> None:
    caching = re.compile(r"cache[\"']?\s*[=:]\s*True")
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if caching.search(path.read_text(encoding="utf-8"))
    ]
    assert set(found) <= {"system/compiled.py"}
