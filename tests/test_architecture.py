"""The directions of the library's imports, read from the syntax tree and from fresh interpreters."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "l0_surgical"

CORE = frozenset({"numpy", "numba", "safetensors"})
SCRIPTS = frozenset({"numpy", "torch", "gymnasium", "matplotlib", "imageio", "PIL", "ray", "rliable", "scipy"})

# part: (our parts that it may import beside itself, the packages that it may import); a part is a module or a folder of the package.
# `_name` is private: only the parts that list it may import it.
MAY_IMPORT: dict[str, tuple[set[str], frozenset[str]]] = {
    "__init__": (set(), frozenset()),
    "errors": (set(), frozenset()),
    "bounds": ({"errors"}, frozenset()),
    "files": ({"errors"}, frozenset()),
    "locks": ({"errors"}, frozenset()),
    # the one way of compiling, for both sides
    "compiled": (set(), frozenset({"numba"})),
    # the robot's side: needs the core install only
    "_policy_records": ({"errors"}, CORE),
    "_policy_format": ({"_policy_records"}, CORE),
    "policy_file": ({"_policy_format", "_policy_records", "files"}, CORE),
    # the exports load onnx and onnxruntime where they are asked for
    "runtime": ({"compiled", "errors", "files", "policy_file", "simplify"}, CORE | {"onnx", "onnxruntime"}),
    "control": ({"bounds", "compiled", "errors", "policy_file", "runtime"}, CORE | {"threadpoolctl", "yaml"}),
    "messaging": ({"control", "files", "errors"}, CORE | {"cyclonedds", "mcap", "rclpy"}),
    # what a policy is and weighs: no simulator, no tensor library
    "low_rank": ({"policy_file", "errors"}, CORE),
    "simplify": ({"policy_file", "low_rank", "errors"}, CORE),
    "_reduction": ({"policy_file", "simplify"}, CORE),
    "inspection": ({"policy_file", "low_rank", "simplify"}, CORE),
    # what is solved: no tensor library
    "tasks": (
        {"control", "policy_file", "stopping", "errors"},
        frozenset({"numpy", "gymnasium", "gymnasium_robotics", "pybullet", "surrol", "gym", "envpool"}),
    ),
    "_rollouts": ({"tasks", "runtime", "policy_file", "stopping", "errors"}, frozenset({"numpy", "gymnasium"})),
    "_vector_rollouts": ({"_rollouts", "tasks", "runtime", "policy_file", "errors"}, frozenset({"numpy"})),
    "_players": ({"_rollouts", "tasks", "policy_file", "process", "stopping", "errors"}, frozenset({"gymnasium", "cloudpickle"})),
    "evaluation": (
        {"_players", "_rollouts", "_vector_rollouts", "tasks", "policy_file", "bounds", "errors"},
        frozenset({"numpy", "scipy"}),
    ),
    "compression": (
        {"_reduction", "errors", "evaluation"} | {"low_rank", "policy_file", "remembering", "simplify"},
        frozenset({"numpy", "scipy"}),
    ),
    "compress_file": ({"bounds", "compression", "errors", "evaluation", "files", "low_rank", "policy_file", "remembering"}, frozenset()),
    "remembering": ({"evaluation", "policy_file"}, frozenset()),
    # learning
    "settings": ({"bounds"}, frozenset()),
    "config": ({"settings", "bounds", "files", "errors"}, frozenset({"tyro"})),
    "presets": ({"bounds", "config", "errors", "settings", "tasks"}, frozenset()),
    "networks": ({"memory", "policy_file"}, frozenset({"numpy", "torch"})),
    "sparsity": ({"compiled"}, frozenset({"numba", "numpy", "torch"})),
    "optimizers": ({"compiled", "sparsity"}, frozenset({"numba", "numpy", "torch"})),
    "replay": ({"compiled", "errors", "files", "memory"}, frozenset({"gymnasium", "numba", "numpy", "torch"})),
    "learner": ({"optimizers"}, frozenset({"torch"})),
    "algorithms": ({"learner", "networks", "optimizers", "sparsity", "settings"}, frozenset({"torch", "numpy"})),
    "cohorts": (
        {"__init__", "algorithms", "learner", "networks", "sparsity", "replay", "tasks", "evaluation"}
        | {"policy_file", "config", "settings", "errors"},
        frozenset({"torch", "numpy", "gymnasium"}),
    ),
    "metrics_file": ({"files"}, frozenset()),
    "event_file": (set(), frozenset({"tensorboard"})),
    "run_folder": ({"config", "event_file", "metrics_file", "files", "locks", "errors"}, frozenset({"torch"})),
    "training": (
        {"cohorts", "run_folder", "tasks", "evaluation", "policy_file", "files", "stopping", "process", "config", "bounds", "errors"},
        frozenset({"torch", "numba"}),
    ),
    # what a person runs
    "experiments": (
        {"training", "compression", "low_rank", "simplify", "evaluation", "tasks", "policy_file", "config", "presets", "files", "errors"}
        | {"robot", "simulation", "stopping", "locks", "process", "cohorts", "settings", "bounds", "remembering", "__init__"},
        SCRIPTS,
    ),
    "streams": ({"errors"}, frozenset()),
    "terminal": ({"_plain_table", "files", "speaking", "streams"}, frozenset({"rich"})),
    "_plain_table": (set(), frozenset()),
    "speaking": (set(), frozenset()),
    "stopping": (set(), frozenset()),
    "process": ({"errors"}, frozenset()),
    "memory": ({"errors"}, frozenset()),
    # every engine behind one function: the one place of the robot's side that may load torch, to compare with it
    "engines": ({"runtime", "policy_file", "process", "errors"}, CORE | {"torch"}),
    "benchmarking": ({"bounds", "engines", "runtime", "policy_file", "errors"}, CORE),
    "connection": ({"bounds", "control", "messaging", "runtime", "policy_file", "files"}, frozenset()),
    "robot": ({"bounds", "connection", "process", "control", "messaging", "stopping", "errors"}, frozenset({"numpy"})),
    # what the executables in nodes/ share
    "worker": ({"errors"}, frozenset()),
    "service": ({"connection", "control", "messaging", "worker", "errors"}, frozenset()),
    "ros_process": ({"bounds", "messaging", "stopping", "errors"}, frozenset({"rclpy", "rcl_interfaces"})),
    # the one part of the robot's side that needs a simulator
    "simulated_arm": ({"control", "messaging", "tasks", "errors"}, frozenset({"numpy", "pybullet"})),
    "simulation": ({"bounds", "control", "messaging", "robot", "simulated_arm", "stopping", "errors"}, frozenset()),
    "_training_commands": (
        {"training", "compression", "compress_file", "evaluation", "experiments", "terminal", "policy_file"}
        | {"config", "presets", "tasks", "files", "locks", "errors"},
        frozenset({"tyro"}),
    ),
    "_robot_commands": (
        {"robot", "simulation", "benchmarking", "inspection", "runtime", "policy_file", "files", "speaking", "terminal", "errors"},
        frozenset(),
    ),
    "cli": ({"__init__", "_training_commands", "_robot_commands", "stopping", "streams", "errors"}, frozenset({"tyro"})),
    "__main__": ({"cli"}, frozenset()),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(source: str) -> Iterator[str]:
    """Dotted names that a module imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def refused_imports(part: str, source: str) -> list[str]:
    """The imports in `source` that the table does not allow to `part`."""
    ours, theirs = MAY_IMPORT[part]
    refused = []
    for name in imported_names(source):
        top, *rest = name.split(".")
        if top == PACKAGE.name:
            imported = rest[0] if rest and rest[0] in MAY_IMPORT else "__init__"
            if imported != part and imported not in ours:
                refused.append(name)
        elif top not in sys.stdlib_module_names and top not in theirs:
            refused.append(name)
    return refused


def test_every_part_is_in_the_table_and_every_entry_is_a_part() -> None:
    assert {part_of(module) for module in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.relative_to(PACKAGE).as_posix())
def test_imports_keep_their_directions(module: Path) -> None:
    assert refused_imports(part_of(module), module.read_text(encoding="utf-8")) == []


def test_only_the_robots_side_runs_the_compiled_engine() -> None:
    """What a policy is judged by, or made smaller by, is the reference: no choice of a form can change a result."""
    runs_it = set()
    for module in modules():
        names = {name for name in imported_names(module.read_text(encoding="utf-8")) if name.startswith("l0_surgical.runtime")}
        if any(not name.startswith(("l0_surgical.runtime.ReferenceEngine", "l0_surgical.runtime.reference.")) for name in names):
            runs_it.add(part_of(module))
    assert runs_it == {"runtime", "control", "connection", "engines", "benchmarking", "_robot_commands"}


def test_algorithms_never_import_each_other() -> None:
    names = {module.stem for module in (PACKAGE / "algorithms").glob("*.py")} - {"__init__"}
    for module in (PACKAGE / "algorithms").glob("*.py"):
        imported = {
            name.removeprefix("l0_surgical.algorithms.").split(".")[0] for name in imported_names(module.read_text(encoding="utf-8"))
        }
        assert not imported & (names - {module.stem}), module.name


@pytest.mark.parametrize(
    ("part", "source", "refused"),
    [
        ("runtime", "from l0_surgical.tasks import get_task", ["l0_surgical.tasks.get_task"]),
        ("control", "def f():\n    import torch", ["torch"]),
        ("sparsity", "from l0_surgical import networks", ["l0_surgical.networks"]),
        ("compression", "from l0_surgical._rollouts import rollouts", ["l0_surgical._rollouts.rollouts"]),
        ("runtime", "import numpy.linalg, json\nfrom l0_surgical.policy_file import Policy", []),
    ],
)
def test_the_check_sees_what_it_should(part: str, source: str, refused: list[str]) -> None:
    assert refused_imports(part, source) == refused


TRAINING_SIDE = {"torch", "gymnasium", "gymnasium_robotics", "pybullet", "tyro", "scipy", "rich", "matplotlib", "tensorboard"}


@pytest.mark.parametrize(
    ("packages", "absent"),
    [
        # numba looks for scipy when it is imported
        (("policy_file", "runtime", "control", "messaging"), TRAINING_SIDE - {"scipy"}),
        (("low_rank", "simplify", "inspection"), TRAINING_SIDE),
        (("cli",), TRAINING_SIDE | {"numpy"}),
        (("tasks",), {"torch", "pybullet", "scipy"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_fresh_interpreter_loads_only_what_is_needed(packages: tuple[str, ...], absent: set[str]) -> None:
    # every module of a package for the robot's side; of the others the package itself
    names = [f"l0_surgical.{package}" for package in packages]
    if packages[0] == "policy_file":
        folders = [PACKAGE / package for package in packages if (PACKAGE / package).is_dir()]
        names += [".".join(m.relative_to(ROOT).with_suffix("").parts) for f in folders for m in f.rglob("*.py") if m.stem != "__init__"]
    script = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert "l0_surgical" in loaded
    assert not loaded & absent


def calls_of_the_locales_encoding(source: str) -> list[int]:
    """The lines that read or write text in an encoding that they do not name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        is_method, name = isinstance(node.func, ast.Attribute), getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("read_text", "write_text"):
            found.append(node.lineno)
        elif name in ("run", "Popen", "check_output"):
            found += [node.lineno for keyword in node.keywords if keyword.arg == "text"]
        elif name in ("open", "fdopen"):
            of_path = is_method and name == "open"
            mode = node.args[0:1] if of_path else node.args[1:2]
            if of_path and not mode and not node.keywords:  # also the call of a task or an arm
                continue
            modes = [value.value for value in mode if isinstance(value, ast.Constant)] if mode else ["r"]
            found += [node.lineno for value in modes if isinstance(value, str) and set(value) <= set("rwax+t")]
    return found


@pytest.mark.parametrize("folder", ["l0_surgical", "nodes", "launch", "demos", "benchmarks"])
def test_text_has_the_same_encoding_in_every_locale(folder: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := calls_of_the_locales_encoding(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("path.open(newline='')\npath.open('w')\nopen(path)\nopen(path, 'a')\nos.fdopen(3)", [1, 2, 3, 4, 5]),
        ("path.read_text()\npath.write_text('a')\nsubprocess.run(['a'], text=True)", [1, 2, 3]),
        (
            "path.open('rb')\nopen(path, 'wb')\nos.open(path, flags)\nRunFolder.open(path)\npath.open('w', encoding='u8')\ntask.open()",
            [],
        ),
    ],
)
def test_the_check_of_encodings_sees_what_it_should(source: str, lines: list[int]) -> None:
    assert calls_of_the_locales_encoding(source) == lines
