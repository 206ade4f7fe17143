"""The command inspect on a robot's computer, which has NumPy and safetensors, and perhaps neither tyro nor
rich."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from l0_surgical.policy import find_policy, load_policy
from l0_surgical.policy.description import describe

POLICY = "needle-reach-l0-compressed"
TRAINING_SIDE = ("torch", "gymnasium", "pybullet", "scipy", "matplotlib")
ABSENT = {
    "core": (*TRAINING_SIDE, "numba", "tyro", "rich", "yaml", "cyclonedds", "mcap"),
    "dds": TRAINING_SIDE,
}
INSTALLS = ["core", *(["dds"] if find_spec("tyro") and find_spec("rich") else [])]


SCRIPT = """import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}")
absent = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Absent())
from l0_surgical.commands.main import main
sys.exit(main())
"""


def run(installed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a fresh interpreter that cannot import what such an install lacks."""
    command = [sys.executable, "-c", SCRIPT, ",".join(ABSENT[installed]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("installed", INSTALLS)
def test_it_shows_what_is_in_a_policy(installed: str) -> None:
    ended = run(installed, "inspect", POLICY, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    description = describe(load_policy(find_policy(POLICY)))
    assert json.loads(ended.stdout) == description

    ended = run(installed, "inspect", POLICY)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"needle-reach: {description['parameters']} numbers, {description['bytes']} bytes" in ended.stdout
    cells = [line.replace("│", " ").split() for line in ended.stdout.splitlines()]
    for layer in description["layers"]:
        shape = [str(layer["shape"][0]), "x", str(layer["shape"][1])]
        assert [layer["name"], *shape, *layer["representation"].split(), str(layer["parameters"])] in [
            row[:7] for row in cells
        ]


@pytest.mark.parametrize("installed", INSTALLS)
def test_bad_input_is_one_line_and_code_2(installed: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(find_policy(POLICY).read_bytes()[:-1])
    for arguments, says in (
        ((), "l0-surgical inspect"),
        ((POLICY, "--jsom"), "--jsom"),
        (("no-such-policy",), "neither a file nor a shipped policy"),
        (("p" * 5000,), "neither a file nor a shipped policy"),
        ((str(tmp_path),), "is a folder"),
        ((str(damaged),), "is truncated or damaged"),
    ):
        ended = run(installed, "inspect", *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith("l0-surgical: ")
        assert says in line


def test_the_core_alone_says_what_the_other_commands_need() -> None:
    ended = run("core", "control", POLICY)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        ended.stderr
        == "l0-surgical: control needs tyro, rich, yaml; install the robot side: pip install '.[dds]' "
        "in a clone\n"
    )
    ended = run("core", "inspect", "--help")
    assert ended.returncode == 0
    assert "POLICY" in ended.stdout
