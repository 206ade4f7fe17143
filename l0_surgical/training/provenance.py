"""Where a policy came from."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from l0_surgical import __version__
from l0_surgical.settings.training import MemberSpec, TrainingConfig, as_dict


def provenance(config: TrainingConfig, member: MemberSpec) -> dict:
    """Where a policy came from: member, settings, versions and commit; no times, so that equal runs give
    equal files."""
    versions = {
        name: importlib.metadata.version(name) for name in ("torch", "numpy", "gymnasium", "pybullet")
    }
    return {
        "algorithm": config.algorithm.name,
        "seed": member.seed,
        "regularizer": member.regularizer,
        "coefficient": member.coefficient,
        "config": as_dict(config),
        "versions": {"l0_surgical": __version__, "python": platform.python_version(), **versions},
        "commit": commit(),
    }


@functools.lru_cache
def commit() -> str | None:
    """The git commit of this code; None where it is installed without one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
