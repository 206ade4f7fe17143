"""The directions of the library's imports, read from the syntax tree and from fresh interpreters."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from l0_surgical.surgical import arm_tasks

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "l0_surgical"

CORE = frozenset({"numpy", "numba", "safetensors"})

# room: (the rooms that it may import, which lie further down; the packages that it may import)
ROOMS: dict[str, tuple[set[str], frozenset[str]]] = {
    "commands": (
        {
            "experiments",
            "training",
            "compression",
            "settings",
            "evaluation",
            "robot",
            "tasks",
            "runtime",
            "policy",
            "system",
        },
        frozenset({"rich", "tyro"}),
    ),
    "experiments": (
        {"training", "compression", "settings", "evaluation", "robot", "tasks", "policy", "system"},
        frozenset(
            {
                "numpy",
                "torch",
                "gymnasium",
                "matplotlib",
                "imageio",
                "PIL",
                "ray",
                "scipy",
                "pandas",
                "jinja2",
            }
        ),
    ),
    "training": (
        {"algorithms", "settings", "evaluation", "tasks", "policy", "system"},
        frozenset({"torch", "numba", "tensorboard"}),
    ),
    "algorithms": (
        {"settings", "evaluation", "tasks", "policy", "sparsity", "system"},
        frozenset({"gymnasium", "numba", "numpy", "torch"}),
    ),
    "compression": ({"evaluation", "policy", "system"}, frozenset({"numpy", "scipy"})),
    "settings": ({"tasks", "system"}, frozenset({"tyro"})),
    "evaluation": (
        {"tasks", "runtime", "policy", "system"},
        frozenset({"cloudpickle", "gymnasium", "numpy", "scipy"}),
    ),
    "robot": (
        {"surgical", "runtime", "policy", "system"},
        CORE | {"cyclonedds", "mcap", "rclpy", "rcl_interfaces", "threadpoolctl", "yaml"},
    ),
    "tasks": (
        {"surgical", "policy", "system"},
        frozenset({"numpy", "gymnasium", "gymnasium_robotics", "pybullet", "surrol", "gym", "envpool"}),
    ),
    "surgical": ({"policy", "system"}, CORE),
    # the exports load onnx and onnxruntime, the comparison of engines torch, where they are asked for
    "runtime": ({"policy", "system"}, CORE | {"onnx", "onnxruntime", "torch"}),
    "policy": ({"system"}, CORE),
    "sparsity": ({"system"}, frozenset({"numba", "numpy", "torch"})),
    "system": (set(), frozenset({"numba"})),
}
VERSION = "__version__"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(module: Path) -> str:
    """Its name below the package, e.g. `policy.files`."""
    return ".".join(module.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imported_names(source: str) -> Iterator[str]:
    """Dotted names that a module imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_of_ours(module: Path) -> set[str]:
    """What a module imports of the package, below its name, e.g. `policy.files.load_policy`."""
    names = imported_names(module.read_text(encoding="utf-8"))
    return {name.removeprefix(f"{PACKAGE.name}.") for name in names if name.split(".")[0] == PACKAGE.name}


def refused_imports(room: str, source: str) -> list[str]:
    """The imports in `source` that the table does not allow to `room`."""
    ours, theirs = ROOMS[room]
    refused = []
    for name in imported_names(source):
        top, *rest = name.split(".")
        if top == PACKAGE.name:
            if rest[:1] != [VERSION] and rest[:1] != [room] and not ours.intersection(rest[:1]):
                refused.append(name)
        elif top not in sys.stdlib_module_names and top not in theirs:
            refused.append(name)
    return refused


def test_the_package_has_these_rooms_and_nothing_beside_them() -> None:
    # a folder that an older checkout has left holds bytecode alone
    found = {path.name for path in PACKAGE.iterdir() if path.is_file() or any(path.rglob("*.py"))}
    assert found == {*ROOMS, "__init__.py", "__main__.py", "py.typed"}
    for room, (below, _) in ROOMS.items():
        assert below <= set(list(ROOMS)[list(ROOMS).index(room) + 1 :]), f"{room} imports upward"


@pytest.mark.parametrize(
    "module",
    [module for module in modules() if module.parent != PACKAGE],
    ids=lambda module: module.relative_to(PACKAGE).as_posix(),
)
def test_imports_keep_their_directions(module: Path) -> None:
    room = module.relative_to(PACKAGE).parts[0]
    refused = refused_imports(room, module.read_text(encoding="utf-8"))
    if room == "robot" and "simulated_arm" in module.parts:
        refused = [name for name in refused if not name.startswith((f"{PACKAGE.name}.tasks.", "pybullet"))]
    assert refused == []


def test_only_the_robots_side_runs_the_compiled_engine() -> None:
    """What a policy is judged by, or made smaller by, is the reference: no choice of a form can change a
    result."""
    runs_it = set()
    for module in modules():
        names = {name for name in imports_of_ours(module) if name.startswith("runtime.")}
        if any(not name.startswith(("runtime.ReferenceEngine", "runtime.reference.")) for name in names):
            runs_it.add(name_of(module).split(".")[0])
    assert runs_it == {"runtime", "robot", "commands"}


def named(source: str, word: str) -> list[str]:
    """The names and texts of a module's code that contain a word, comments and docstrings apart."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    described = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    texts: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            texts += [node.value] if isinstance(node.value, str) and id(node) not in described else []
        else:
            texts += [value for _, value in ast.iter_fields(node) if isinstance(value, str)]
    return [text for text in texts if word in text.lower().replace("_", "").replace("-", "")]


def test_the_robots_side_names_no_surgical_task() -> None:
    """It takes the task from the policy, by the record in `surgical`; the nodes' policy has a default."""
    modules_of_it = [*(PACKAGE / "robot").glob("*.py"), *(PACKAGE / "robot" / "control").glob("*.py")]
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in (*modules_of_it, *(ROOT / "nodes").glob("*.py"))
        for task in arm_tasks()
        if (names := named(path.read_text(encoding="utf-8"), task.title.lower()))
    }
    default = ["needle-reach-l0-compressed"]
    assert found == {"nodes/operator_node.py": default, "nodes/policy_node.py": default}


def test_algorithms_never_import_each_other() -> None:
    names = {"ddpg", "dqn", "ppo"}
    for name in names:
        imported = {
            one.split(".")[1]
            for one in imports_of_ours(PACKAGE / "algorithms" / f"{name}.py")
            if one.startswith("algorithms.")
        }
        assert not imported & (names - {name}), name


def test_imports_go_no_deeper_than_eleven_floors_and_in_no_circle() -> None:
    """A room's face (`__init__`) is read with the modules that it shows."""
    rooms = {
        room: {
            name.split(".")[0]
            for module in (PACKAGE / room).rglob("*.py")
            for name in imports_of_ours(module)
        }
        for room in ROOMS
    }

    def floor(room: str) -> int:
        below = [floor(other) for other in rooms[room] & set(ROOMS) - {room}]
        return 1 + max(below, default=0)

    assert max(floor(room) for room in ROOMS) <= 11


def test_the_check_of_names_sees_what_it_should() -> None:
    source = '''"""NeedleReach."""
from a.needle_reach import b
NEEDLE_REACH = {"NeedleReach": f"{b} needle-reach"}  # needle_reach
def f(needle_reach: int) -> None:
    "NeedleReach"
    return x.needle_reach
'''
    assert sorted(named(source, "needlereach")) == sorted(
        ["a.needle_reach", "NEEDLE_REACH", "NeedleReach", " needle-reach", "needle_reach", "needle_reach"]
    )


@pytest.mark.parametrize(
    ("room", "source", "refused"),
    [
        ("runtime", "from l0_surgical.tasks import get_task", ["l0_surgical.tasks.get_task"]),
        ("robot", "def f():\n    import torch", ["torch"]),
        ("sparsity", "from l0_surgical import algorithms", ["l0_surgical.algorithms"]),
        (
            "policy",
            "from l0_surgical.evaluation.episodes import rollouts",
            ["l0_surgical.evaluation.episodes.rollouts"],
        ),
        ("runtime", "import numpy.linalg, json\nfrom l0_surgical.policy import Policy", []),
        ("settings", "from l0_surgical import __version__", []),
    ],
)
def test_the_check_sees_what_it_should(room: str, source: str, refused: list[str]) -> None:
    assert refused_imports(room, source) == refused


TRAINING_SIDE = {
    "torch",
    "gymnasium",
    "gymnasium_robotics",
    "pybullet",
    "tyro",
    "scipy",
    "rich",
    "matplotlib",
    "tensorboard",
}


@pytest.mark.parametrize(
    ("packages", "absent"),
    [
        # numba looks for scipy when it is imported
        (("runtime", "robot.control", "robot.messaging"), TRAINING_SIDE - {"scipy"}),
        (("robot.operation", "robot.service", "robot.node"), TRAINING_SIDE - {"scipy"}),
        (("policy", "policy.low_rank", "policy.simplify", "policy.description"), TRAINING_SIDE),
        (("commands.main",), TRAINING_SIDE | {"numpy"}),
        (("tasks",), {"torch", "pybullet", "scipy"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_fresh_interpreter_loads_only_what_is_needed(packages: tuple[str, ...], absent: set[str]) -> None:
    # every module of a package for the robot's side; of the others the package itself
    names = [f"l0_surgical.{package}" for package in packages]
    if packages[0] == "runtime":
        folders = [PACKAGE.joinpath(*package.split(".")) for package in packages]
        names += [f"l0_surgical.{name_of(module)}" for folder in folders for module in folder.rglob("*.py")]
    script = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert "l0_surgical" in loaded
    assert not loaded & absent


def calls_of_the_locales_encoding(source: str) -> list[int]:
    """The lines that read or write text in an encoding that they do not name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        is_method, name = (
            isinstance(node.func, ast.Attribute),
            getattr(node.func, "attr", getattr(node.func, "id", "")),
        )
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
            found += [
                node.lineno for value in modes if isinstance(value, str) and set(value) <= set("rwax+t")
            ]
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
            "path.open('rb')\nopen(path, 'wb')\nos.open(path, flags)\nRunFolder.open(path)\npath.open('w', "
            "encoding='u8')\ntask.open()",
            [],
        ),
    ],
)
def test_the_check_of_encodings_sees_what_it_should(source: str, lines: list[int]) -> None:
    assert calls_of_the_locales_encoding(source) == lines
