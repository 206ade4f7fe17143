"""The presets of CartPole, Acrobot and LunarLander, and of any other task with environments side by side."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from l0_surgical.settings.algorithm import AlgorithmConfig
from l0_surgical.settings.sparsity import SparsityConfig
from l0_surgical.settings.training import TrainingConfig

COEFFICIENTS = (1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 5e-1)
"""Of the classic suite, as the paper has them."""


@dataclass(frozen=True)
class Recipe:
    """How a discrete task is trained at its best."""

    steps: int
    """Of the environments."""
    dense: float
    """Part of the training without penalty."""
    gate_learning_rate: float
    """Of log alpha."""
    settings: dict[str, Any]
    """What differs from the defaults of the algorithm's settings."""
    coefficient: float = 1e-2
    """Of the penalty where none is asked for; where results/classic has the task, one that keeps the reward
    there at 80 % sparsity or more and did so on trial seeds too
    (results/classic/default_coefficients.csv)."""
    finetune: float | None = None
    """Part of the training after which zeros stay, the penalty is off and the other weights learn on."""
    keep_best_after: float = 0.75
    """Part of the training after which a penalised policy may be kept."""
    validations: int = 40
    """About how many there are in the training."""
    validation_episodes: int = 20
    """Of each validation."""


DQN_BEST = {
    "cartpole": Recipe(
        500_000,
        0.3,
        6e-2,
        {
            "updates_per_cycle": 16,
            "buffer_size": 200_000,
            "exploration_fraction": 0.5,
            "reward_scale": 0.2,
            "initial_value": 20.0,
        },
        coefficient=0.5,
        finetune=0.42,
        keep_best_after=0.42,
        validations=80,  # DQN often loses CartPole and finds it again
        validation_episodes=60,
    ),
    "acrobot": Recipe(300_000, 0.4, 5e-2, {"reward_scale": 0.3, "initial_value": -15.0}, coefficient=0.5),
    "lunar-lander": Recipe(
        600_000,
        0.3,
        5e-2,
        {
            "environments": 32,
            "buffer_size": 50_000,
            "prioritized": "proportional",
            "huber_delta": 1.0,
            "final_learning_rate_factor": 0.1,
        },
        coefficient=0.1,
        finetune=0.65,
        keep_best_after=0.65,
        validations=25,  # episodes are long
    ),
}
PPO_BEST = {
    "cartpole": Recipe(
        200_000,
        0.5,
        2e-2,
        {"environments": 16, "horizon": 128, "minibatch_size": 512, "entropy_coefficient": 0.0},
        coefficient=0.5,
    ),
    "acrobot": Recipe(
        600_000, 0.55, 2e-2, {"horizon": 500, "minibatch_size": 1000, "gae_lambda": 0.99}, coefficient=0.1
    ),
    "lunar-lander": Recipe(1_400_000, 0.4, 2e-2, {"discount": 0.995, "reward_scale": 0.1}, coefficient=0.1),
}
RECIPES = {"dqn": DQN_BEST, "ppo": PPO_BEST}


def best(task: str, algorithm: type[AlgorithmConfig]) -> TrainingConfig:
    """Ours."""
    recipe = RECIPES.get(algorithm.name, {}).get(task, Recipe(100_000, 0.5, 1e-2, {}))
    config = TrainingConfig(
        task=task,
        algorithm=algorithm(**recipe.settings),
        coefficient=(recipe.coefficient,),
        steps=recipe.steps,
        evaluation_episodes=recipe.validation_episodes,
        keep_best_after=recipe.keep_best_after,
    )
    rounds = config.rounds
    sparsity = SparsityConfig(
        apply_to="actor",
        initial_log_alpha=5.0,
        gate_learning_rate=recipe.gate_learning_rate,
        gates_wait=True,
        penalty_start=round(recipe.dense * rounds),
        finetune_start=None if recipe.finetune is None else round(recipe.finetune * rounds),
    )
    return dataclasses.replace(
        config,
        evaluate_every=max(1, rounds // recipe.validations),
        checkpoint_every=max(1, rounds // 4),
        sparsity=sparsity,
    )


def as_printed(best: TrainingConfig) -> TrainingConfig:
    """What Goddla 2024 prints of the classic suite (sec. 5.1.1); the rest, which it does not print, is
    ours."""
    explores = {"exploration_fraction": 1.0, "final_epsilon": 0.0} if best.algorithm.name == "dqn" else {}
    return dataclasses.replace(
        best,
        preset="paper",
        regularizer=("none", "l0"),
        coefficient=COEFFICIENTS,
        stop_at_target=True,
        keep_best_after=1.0,
        algorithm=dataclasses.replace(best.algorithm, **explores),
        sparsity=SparsityConfig(
            apply_to="actor",
            temperature=2 / 3,
            initial_log_alpha=0.0,
            gate_learning_rate=1e-3,
            evaluation="sampled",
            penalty_start=0,
        ),
    )
