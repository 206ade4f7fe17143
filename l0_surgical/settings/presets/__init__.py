"""The presets `best` (ours, the default) and `paper` (as Goddla 2024 prints it), a file for each kind of
task."""

from l0_surgical.settings.presets import classic, needle_reach
from l0_surgical.settings.registry import ALGORITHMS
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import TASKS


def preset(name: str, task: str = "needle-reach", algorithm: str | None = None) -> TrainingConfig:
    """The named preset for a task and an algorithm (by default DQN for a registered task with environments
    side by side, else DDPG).

    Raises:
        BadInputError: an unknown preset or algorithm.
    """
    if name not in ("best", "paper"):
        raise BadInputError(f"--preset {name}: choose best or paper")
    is_vector = task in TASKS and TASKS[task].experience == "vector"
    chosen = algorithm or ("dqn" if is_vector else "ddpg")
    if chosen not in ALGORITHMS:
        raise BadInputError(f"--algorithm {chosen}: {ALGORITHMS.known()}")
    settings = ALGORITHMS[chosen]
    of_kind = classic if settings.experience == "vector" else needle_reach
    best = of_kind.best(task, settings)
    return best if name == "best" else of_kind.as_printed(best)
