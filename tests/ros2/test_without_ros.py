"""What can be said of nodes/ and launch/ on a machine without ROS: they parse, and names, defaults and
documents agree."""

import ast
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
NODES = sorted((ROOT / "nodes").glob("*.py"))
LAUNCHES = sorted((ROOT / "launch").glob("*.launch.py"))
DOCUMENT = (ROOT / "docs" / "ros2.md").read_text(encoding="utf-8")
MESSAGES = {f"{name}_msgs" for name in ("diagnostic", "geometry", "lifecycle", "std")}
ROS_PACKAGES = MESSAGES | {"launch", "launch_ros", "rclpy", "rcl_interfaces", "std_srvs"}
Argument = tuple[str, str | float | int | bool, str]


def constants(path: Path) -> dict[str, ast.expr]:
    """The module's top-level assignments by name."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def parameters(node: Path) -> list[Argument]:
    return [
        tuple(ast.literal_eval(argument) for argument in call.args)
        for call in constants(node)["PARAMETERS"].elts
    ]


def arguments(launch: Path) -> list[Argument]:
    """What the launch file declares, with the arguments of its parts."""
    found: list[Argument] = []
    for value in constants(launch).values():
        if (
            isinstance(value, ast.Tuple)
            and value.elts
            and all(isinstance(element, ast.Tuple) for element in value.elts)
        ):
            found += ast.literal_eval(value)
    return found


def defaults(of: list[Argument]) -> dict[str, str | float | int | bool]:
    return {name: default for name, default, _ in of}


def test_there_is_something_to_check() -> None:
    assert [path.stem for path in NODES] == ["operator_node", "policy_node", "psm_sim_node"]
    assert [path.name for path in LAUNCHES] == [
        f"needle_reach_{name}.launch.py" for name in ("dvrk", "hil", "sim")
    ]


@pytest.mark.parametrize("node", NODES, ids=lambda path: path.stem)
def test_ros_finds_each_node_by_its_bare_name(node: Path) -> None:
    executable = node.with_suffix("")
    assert executable.is_symlink()
    assert executable.resolve() == node
    assert os.access(node, os.X_OK)
    assert node.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    assert f'"nodes/{node.stem}"' in (ROOT / "setup.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("node", NODES, ids=lambda path: path.stem)
def test_every_parameter_is_described_and_documented(node: Path) -> None:
    section = DOCUMENT.split(f"### {node.stem}\n")[1].split("\n###")[0]
    rows = {row[0]: row[1] for row in re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", section, re.MULTILINE)}
    for name, default, description in parameters(node):
        assert description.endswith(".")
        shown = str(default).lower() if isinstance(default, bool) else str(default) or '""'
        assert rows.pop(name) == shown, name
    assert rows == {}


def test_every_parameter_of_the_policy_node_can_be_set_by_the_launch_files() -> None:
    dvrk, sim = (
        defaults(arguments(ROOT / f"launch/needle_reach_{kind}.launch.py")) for kind in ("dvrk", "sim")
    )
    of_node = defaults(parameters(ROOT / "nodes/policy_node.py"))
    # of the environment of the nodes
    network = {"discovery": "", "interface": ""}
    assert network.items() <= dvrk.items()
    dvrk = {name: default for name, default in dvrk.items() if name not in network}
    # the launch files always start the node by `autostart`
    assert dvrk == {name: default for name, default in of_node.items() if name != "autostart"}
    # nothing of a simulated arm needs a dry run
    assert {name: default for name, default in dvrk.items() if name != "dry_run"}.items() <= sim.items()


@pytest.mark.parametrize("node", ["psm_sim_node", "operator_node"])
def test_what_the_simulation_sets_are_parameters_with_the_same_defaults(node: str) -> None:
    group = {"psm_sim_node": "SIMULATION", "operator_node": "OPERATOR"}[node]
    of_launch = defaults(ast.literal_eval(constants(ROOT / "launch/needle_reach_sim.launch.py")[group]))
    assert of_launch
    assert of_launch.items() <= defaults(parameters(ROOT / f"nodes/{node}.py")).items()


@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda path: path.name)
def test_every_launch_argument_is_described_and_documented(launch: Path) -> None:
    for name, _, description in arguments(launch):
        assert len(description) > 5, name
        assert f"`{name}`" in DOCUMENT, name
    assert launch.name in DOCUMENT


@pytest.mark.parametrize("path", [*NODES, *LAUNCHES], ids=lambda path: path.name)
def test_only_declared_packages_are_imported(path: Path) -> None:
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    ours = {"l0_surgical", "numpy"} if path in NODES else set()
    assert imported - ours - set(sys.stdlib_module_names) <= ROS_PACKAGES
    declared = {
        element.text for element in ElementTree.parse(ROOT / "package.xml").getroot().iter("exec_depend")
    }
    # rcl_interfaces comes with rclpy
    assert imported & ROS_PACKAGES - {"rcl_interfaces"} <= declared
