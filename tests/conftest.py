"""One thread per test process: small networks run many times slower with more. On a robot's computer, the
robot's tests."""

import importlib.util
import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A robot's computer installs only the core (there is no pybullet for Python 3.12): what needs the training
# side is left out there, and so are the checks of the source tree, which developers run.
MISSING = [name for name in ("torch", "gymnasium", "pybullet") if importlib.util.find_spec(name) is None]
TRAINING_SIDE = [
    "algorithms",
    "compression",
    "evaluation",
    "experiments",
    "settings",
    "sparsity",
    "tasks",
    "training",
]
TRAINING_SIDE += ["commands", "robot/simulated_arm", "robot/test_operation.py", "robot/test_service.py"]
TRAINING_SIDE += [
    "policy/test_shipped_policies.py",
    "runtime/test_benchmark.py",
    "system/test_memory.py",
    "test_hil_options.py",
]
SOURCE_TREE = [f"test_{name}.py" for name in ("architecture", "docs", "packaging")]
collect_ignore = [*TRAINING_SIDE, *SOURCE_TREE] if MISSING else []
# what needs one more package: ignored, as a skip within the module would, beside ROS's own pytest plugins,
# skip the whole folder
ALONE = {
    "hypothesis": ("robot/control/test_jerk_limit",),
    "onnx": ("runtime/test_exports",),
    "mcap_ros2": ("robot/messaging/test_recording",),
}
ALONE["cyclonedds"] = tuple(
    f"robot/messaging/test_{name}" for name in ("arm_client", "dds", "network", "wire")
)
for package in [package for package in ALONE if importlib.util.find_spec(package) is None]:
    MISSING.append(package)
    collect_ignore += [f"{module}.py" for module in ALONE[package]]


def pytest_report_header() -> str | None:
    """Says what is left out."""
    return f"left out, as {', '.join(MISSING)} are missing: {' '.join(collect_ignore)}" if MISSING else None
