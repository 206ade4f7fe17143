"""One policy in every engine: time per action, in turn in one process, and the memory and start of a process
that holds only that engine.

Each engine is the whole way from an observation in the fields' units to an action in theirs, as a control
loop would call it: `torch_eager` is the network as it was trained (dense `torch.nn.Linear` layers),
`onnxruntime` the exported model, `numpy` the reference engine, `l0` ours.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from l0_surgical import runtime
from l0_surgical.policy import Policy, find_policy, load_policy
from l0_surgical.runtime.engines import ENGINES, Act, build
from l0_surgical.runtime.verification import sample_observations
from l0_surgical.system.bounds import Bound, check_value
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.system.progress import Progress

ROUNDS = 40
ROUND_S = 0.02
_OBSERVATIONS = 64


@dataclass(frozen=True)
class Contestant:
    """An engine that holds a policy, and the time of every one of its calls (s)."""

    name: str
    act: Act
    seconds: list[float]


def benchmark(
    policy: str,
    *,
    reference: str | None = None,
    rounds: int = ROUNDS,
    explain: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Times a policy in every engine that is installed; the other engines are listed under `absent` with the
    reason.

    Args:
        policy: a policy file, or the name of a shipped policy.
        reference: another policy, timed in the same run: what the first was compressed from.
        rounds: how often each engine has its turn; more for finer percentiles.
        explain: also measures the forms that each layer of our engine may take.
        progress: told after each round.

    Returns:
        `engines`: of each p50_us, p99_us, p999_us, resident_mib, first_action_s; `resident_mib`: of ours;
        `reference`: likewise the engines with the other policy; `explain`: the forms of our engine's layers,
        a line each.

    Raises:
        BadInputError: a policy cannot be read, or `rounds` is not from 1 to 1000.
    """
    check_value(
        "rounds", rounds, Annotated[int, Bound(1, 1000, beyond="every call's time is kept in memory")]
    )
    names = {"": policy} | ({"reference": reference} if reference else {})
    loads = {role: load_policy(find_policy(name)) for role, name in names.items()}
    contestants, absent = _contestants(loads)
    _take_turns(contestants, loads, rounds, progress or (lambda *_: None))

    results = {role: {} for role in names}
    for (role, engine), contestant in contestants.items():
        times = 1e6 * np.array(contestant.seconds)
        p50, p99, p999 = np.percentile(times, (50, 99, 99.9)).tolist()
        results[role][engine] = {
            "p50_us": p50,
            "p99_us": p99,
            "p999_us": p999,
            **fresh_process(engine, names[role]),
        }
    report = {
        "policy": policy,
        "engines": results[""],
        "absent": absent,
        "resident_mib": results[""]["l0"]["resident_mib"],
        "explain": runtime.compile(loads[""]).explain(measure=explain).splitlines(),
    }
    return report | (
        {"reference": {"policy": reference, "engines": results["reference"]}} if reference else {}
    )


def _contestants(policies: dict[str, Policy]) -> tuple[dict[tuple[str, str], Contestant], dict[str, str]]:
    """Every engine that is installed with every policy, and why the others are not here."""
    contestants, absent = {}, {}
    for engine in ENGINES:
        try:
            made = {
                (role, engine): Contestant(engine, build(engine, policy), [])
                for role, policy in policies.items()
            }
        except ImportError as error:  # noqa: PERF203 (four engines)
            absent[engine] = str(error)
        else:
            contestants |= made
    return contestants, absent


def fresh_process(engine: str, policy: str) -> dict[str, float]:
    """`resident_mib` and `first_action_s` of a process that only loads the policy into that engine: the
    second of two, with warm caches.

    Raises:
        L0SurgicalError: the process failed.
    """
    command = [sys.executable, "-m", "l0_surgical.runtime.engines", engine, policy]
    for _ in range(2):
        ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if ended.returncode:
            raise L0SurgicalError(
                f"{engine} failed in a process of its own: {ended.stderr.strip().splitlines()[-1]}"
            )
    return json.loads(ended.stdout)


def _take_turns(
    contestants: dict[tuple[str, str], Contestant],
    policies: dict[str, Policy],
    rounds: int,
    progress: Progress,
) -> None:
    """Every engine for some milliseconds, again and again, so that whatever else the machine does hits all
    alike."""
    observations = {
        role: list(sample_observations(policy)[:_OBSERVATIONS].astype(np.float64))
        for role, policy in policies.items()
    }
    for (role, _), contestant in contestants.items():
        for observation in observations[role]:
            contestant.act(observation)
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for (role, _), contestant in contestants.items():
                _time(contestant, observations[role])
            progress("timing", number + 1, rounds)
    finally:
        gc.enable()


def _time(contestant: Contestant, observations: Sequence[np.ndarray]) -> None:
    clock, act, seconds = time.perf_counter, contestant.act, contestant.seconds
    end = clock() + ROUND_S
    while clock() < end:
        for observation in observations:
            begin = clock()
            act(observation)
            seconds.append(clock() - begin)
