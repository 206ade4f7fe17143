"""One package for pip and for ament_python (colcon): metadata lives here because colcon reads it from
setup.py."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "l0_surgical"
# colcon build --symlink-install runs a link to this file, in a folder that lacks README.md
SOURCE = Path(__file__).resolve().parent
# rliable 1.2, which the tests compare with, wants arch below 8, which does not load with pandas 3
PANDAS = "pandas<3"
TRAIN = [
    "torch",
    "gymnasium[box2d]",
    "gymnasium-robotics",
    "mujoco<3.12",
    "pybullet",
    "tyro",
    "rich",
    "tensorboard",
    "matplotlib",
    "imageio",
    "scipy",
    "pillow",
    PANDAS,
]
REPORT = [PANDAS, "jinja2", "matplotlib", "scipy", "tyro", "rich"]


def _files(pattern: str) -> list[str]:
    return sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.glob(pattern))


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Sparse, rank-reduced deep-RL policies as real-time control nodes for surgical robots",
    long_description=(SOURCE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The l0_surgical authors",
    maintainer="The l0_surgical authors",
    maintainer_email="l0-surgical@users.noreply.github.com",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        PACKAGE: [
            "policy/shipped/*.safetensors",
            "robot/control/*.yaml",
            "tasks/needle_reach/*.urdf",
            "py.typed",
        ],
        f"{PACKAGE}.experiments.report": ["*.json", "page.*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        # data and not `scripts`: these keep their `env python3`, so that `ros2 run` uses the virtual
        # environment that is active
        (f"lib/{PACKAGE}", ["nodes/policy_node", "nodes/psm_sim_node", "nodes/operator_node"]),
        (f"share/{PACKAGE}/launch", _files("launch/*.launch.py")),
        (f"share/{PACKAGE}/tests/hil", _files("tests/hil/*.py")),
    ],
    install_requires=["numpy>=1.24", "numba>=0.59", "safetensors>=0.4"],
    extras_require={
        "train": TRAIN,
        "mario": ["gym-super-mario-bros==7.4.0", "nes-py==8.2.1"],
        "dds": ["cyclonedds", "mcap", "pyyaml", "threadpoolctl", "tyro", "rich"],
        "export": ["onnx", "onnxruntime"],
        "report": REPORT,
        "fast": ["envpool"],  # half a gigabyte: it brings the assets of all its environments
        "sweep": ["ray", "envpool", *REPORT],
        "test": ["pytest"],  # by this `colcon test` knows that pytest runs the tests
        "dev": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "setuptools>=77",
            "stable-baselines3",
            "rliable",
            "arch<8",
            "mcap-ros2-support",
            "ray",
            "envpool",
        ],
    },
    entry_points={"console_scripts": [f"l0-surgical = {PACKAGE}.commands.main:main"]},
    zip_safe=False,
)
