"""What is installed, and what the make targets say on a machine that lacks Python 3.11."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import l0_surgical

ROOT = Path(__file__).parents[1]
SOURCES = (
    "l0_surgical",
    "resource",
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "package.xml",
    "README.md",
    "LICENSE",
)
INFO = f"l0_surgical-{l0_surgical.__version__}.dist-info"
DEVELOPMENT = ("tests", "demos", "nodes", "launch", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built by the installed setuptools from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*SOURCES, *(name for name in DEVELOPMENT if (ROOT / name).exists())):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as wheel:
        yield wheel


def test_only_the_library_is_importable(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"l0_surgical", INFO, INFO.replace("dist-info", "data")}


def test_every_file_of_the_library_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    files = [
        path
        for path in (ROOT / "l0_surgical").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.name != ".gitkeep"}
    assert expected == {name for name in wheel.namelist() if name.startswith("l0_surgical/")}
    assert {f"l0_surgical/tasks/needle_reach/{name}.urdf" for name in ("psm", "needle", "tray")} <= expected


def test_ros_finds_the_package(wheel: zipfile.ZipFile) -> None:
    data = INFO.replace("dist-info", "data") + "/data/share"
    assert {
        f"{data}/l0_surgical/package.xml",
        f"{data}/ament_index/resource_index/packages/l0_surgical",
    } <= set(wheel.namelist())


def test_the_core_install_needs_three_packages(wheel: zipfile.ZipFile) -> None:
    core = [line for line in _requirements(wheel) if "extra ==" not in line]
    assert {_name(line) for line in core} == {"numpy", "numba", "safetensors"}
    assert set(_metadata(wheel).get_all("Provides-Extra")) == {
        "train",
        "mario",
        "dds",
        "export",
        "report",
        "fast",
        "sweep",
        "test",
        "dev",
    }
    assert "l0-surgical = l0_surgical.commands.main:main" in wheel.read(f"{INFO}/entry_points.txt").decode()
    assert f"{INFO}/licenses/LICENSE" in wheel.namelist()


def test_the_versions_agree() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == l0_surgical.__version__
    assert package.findtext("name") == "l0_surgical"
    assert package.findtext("export/build_type") == "ament_python"
    assert f"## [{l0_surgical.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_requirement_has_an_exact_pin(wheel: zipfile.ZipFile) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [
        line for line in pins if not re.fullmatch(r'[\w.-]+==[\w.]+(; python_version (<|>=) "3\.\d+")?', line)
    ] == []
    pinned = {_normal(line.split("==")[0]) for line in pins}
    assert len(pinned) == len(pins) - 1  # NumPy has one pin for Python 3.10 and one for the later ones
    required = {_normal(_name(line)) for line in _requirements(wheel)}
    assert {"torch", "numpy", "pytest"} <= required
    assert required - pinned == set()


def test_make_says_what_is_missing(tmp_path: Path) -> None:
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    without_venv = tmp_path / "python-without-venv"
    without_venv.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; *version_info*) exit 0;; esac\nexec {sys.executable} "$@"\n'
    )
    without_venv.chmod(0o755)
    for python, remedy in (
        ("no-such-python", "uv python install 3.11"),
        (without_venv, "apt install python3.11-venv"),
    ):
        result = _make(tmp_path, f"PYTHON={python}", "test")
        assert result.returncode == 2
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert str(python) in line
        assert remedy in line
    assert not (tmp_path / ".venv").exists()


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # without the variables by which an outer make (`make test`) would steer this one
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"{INFO}/METADATA").decode())


def _requirements(wheel: zipfile.ZipFile) -> list[str]:
    return _metadata(wheel).get_all("Requires-Dist")


def _name(requirement: str) -> str:
    return re.split(r"[<>=! ;\[]", requirement)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
