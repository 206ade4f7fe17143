"""What a results folder of the classic suite holds: the axes of the grid, and the columns of every table with
how they are read."""

from typing import Any

from l0_surgical.experiments.rows import boolean, fraction, number, one_of, required, whole

SUITE, FORMAT = "classic", 1
ENVIRONMENTS = {"cartpole": "CartPole", "acrobot": "Acrobot", "lunar-lander": "LunarLander"}
ALGORITHMS = {"dqn": "DQN", "ppo": "PPO"}
REGULARIZERS = ("none", "l0", "l1", "l2")
RANKS = range(5, 30)
"""Of the sweeps, as in the paper."""

_POLICY = {
    "environment": one_of(*ENVIRONMENTS),
    "algorithm": one_of(*ALGORITHMS),
    "regularizer": one_of(*REGULARIZERS),
    "coefficient": required(number),
    "seed": required(whole),
}
_RETURN = dict.fromkeys(("return_mean", "return_low", "return_high"), number)
_MEMBERS = {
    **_POLICY,
    "temperature": number,
    **_RETURN,
    **dict.fromkeys(("sparsity", "sparsity_at_init", "critic_sparsity"), fraction),
    **dict.fromkeys(("parameters", "nonzero", "env_steps", "updates", "steps_to_target"), whole),
    **dict.fromkeys(("wall_seconds", "cpu_seconds"), number),
    "failed": str,
}
_PARAMETERS, _DECREASE = {"parameters": required(whole)}, {"size_decrease_percent": required(number)}

TABLES: dict[str, dict[str, Any]] = {
    "members": _MEMBERS,
    "temperatures": {**_MEMBERS, "temperature": required(number)},
    "curves": {
        **_POLICY,
        "env_steps": required(whole),
        "return_mean": required(number),
        "sparsity": fraction,
    },
    "ranks": {
        **_POLICY,
        "rank": required(whole),
        "parameters_paper": required(whole),
        **_PARAMETERS,
        **_DECREASE,
        **_RETURN,
    },
    "compressed": {
        **_POLICY,
        "method": required(str),
        **_PARAMETERS,
        "bytes": required(whole),
        **_DECREASE,
        **_RETURN,
        "kept": boolean,
    },
}
"""Tables by name (the file is `<name>.csv`); columns by name in the order of the file, each with its
reader."""

MORE_SEEDS = "members_ten_seeds"
"""The table, with the columns of members.csv, of the further seeds of what was picked
(benchmarks/ten_seeds.py)."""
