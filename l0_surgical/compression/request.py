"""The `compress` command: from one policy file to a smaller one, with the evidence."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from l0_surgical.compression import compress, lowest_rank, rank_sweep
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.policy import Policy, find_policy, load_policy, save_policy
from l0_surgical.policy.low_rank import fold, size_decrease_percent
from l0_surgical.system.bounds import Bound, Episodes, Jobs, Seed, check_fields
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import file_to_write
from l0_surgical.system.progress import Progress

DEFAULT_KEEP = 0.99
MOST_RANK = 4096
"""No layer that training makes is wider."""


@dataclass(frozen=True)
class Request:
    """What the caller asked for; the flags of the command.

    Raises:
        BadInputError: a number out of its range.
    """

    rank: Annotated[int, Bound(1, MOST_RANK)] | None = None
    """Fold every layer to this rank, as in the paper."""
    ranks: str | None = None
    """Sweep ranks A:B or A:B:STEP (B included); the lowest whose return keeps --keep is saved."""
    keep: Annotated[float, Bound(above=0, most=1)] | None = None
    """Fraction of the return over random actions to keep (default 0.99)."""
    confidence: Annotated[float, Bound(least=0.5, below=1)] = 0.95
    """One-sided confidence of that over paired validation episodes."""
    episodes: Episodes = 100
    """Validation episodes per candidate."""
    seed: Seed = 0
    """Which validation episodes."""
    jobs: Jobs = 1
    """Processes."""

    def __post_init__(self) -> None:
        check_fields(self)


def compress_to(source: str, out: Path, request: Request, progress: Progress) -> dict[str, Any]:
    """Compresses the policy `source` into the file `out` and evaluates the result on unseen episodes.

    Returns:
        The JSON of the command: `sweep` (one row per candidate) and `chosen`.

    Raises:
        BadInputError: flags that exclude each other or make no sense, or a file that cannot be read or
        written.
    """
    if request.rank is not None and (request.ranks is not None or request.keep is not None):
        raise BadInputError("--rank excludes --ranks and --keep; give one of them")
    ranks = None if request.ranks is None else parse_ranks(request.ranks)
    ranks = ranks if request.rank is None else [request.rank]
    policy = load_policy(find_policy(source))
    # absolute: an environment may change the working directory
    target = file_to_write(out).absolute()
    with RememberingEvaluator(policy.task, request.jobs) as evaluator:
        if ranks is None:
            compressed, report = _by_evidence(policy, request, evaluator, progress)
        else:
            compressed, report = _one_rank(policy, ranks, request, evaluator, progress)
        tell = lambda n: progress("evaluating on unseen episodes", n, request.episodes)  # noqa: E731
        result = evaluator.evaluate(compressed, "test", request.seed, request.episodes, tell).as_dict()
    save_policy(
        dataclasses.replace(compressed, evaluation={**result, "stream": "test", "seed": request.seed}), target
    )
    test = {key: result[key] for key in ("return_mean", "return_ci95", "success_rate")}
    return {"sweep": report["sweep"], "chosen": {**report["chosen"], "file": str(out), "test": test}}


def parse_ranks(text: str) -> list[int]:
    """`A:B` or `A:B:STEP`, B included.

    Raises:
        BadInputError: another form, a rank below 1, or no rank at all.
    """
    try:
        first, last, *step = (int(part) for part in text.split(":"))
        ranks = range(first, last + 1, *step)
        valid = len(step) <= 1 and first >= 1 and last <= MOST_RANK and len(ranks) > 0
    except (ValueError, TypeError, OverflowError):
        valid = False
    if not valid:
        raise BadInputError(
            f"--ranks {text}: give A:B or A:B:STEP with 1 <= A <= B <= {MOST_RANK} and STEP >= 1, e.g. 5:60:5"
        )
    return list(ranks)


def _one_rank(
    policy: Policy, ranks: list[int], request: Request, evaluator: RememberingEvaluator, progress: Progress
) -> tuple[Policy, dict[str, Any]]:
    tell = lambda n: progress("rank sweep", n, len(ranks))  # noqa: E731
    rows = rank_sweep(policy, ranks, request.episodes, request.seed, progress=tell, evaluator=evaluator)
    chosen = rows[-1]
    if request.ranks is not None:
        keep = request.keep if request.keep is not None else DEFAULT_KEEP
        lowest = lowest_rank(
            policy, ranks, keep, request.confidence, request.episodes, request.seed, evaluator
        )
        if lowest is None:
            raise BadInputError(
                f"no rank in {request.ranks} keeps {keep:g} of the return; give higher ranks or a lower "
                "--keep"
            )
        chosen = rows[ranks.index(lowest)]
    folded = fold(policy, chosen["rank"])
    provenance = {**policy.provenance, "compression": {"rank": chosen["rank"]}}
    report = {"sweep": rows, "chosen": {**chosen, "label": f"rank {chosen['rank']}"}}
    return dataclasses.replace(folded, provenance=provenance, evaluation={}), report


def _by_evidence(
    policy: Policy, request: Request, evaluator: RememberingEvaluator, progress: Progress
) -> tuple[Policy, dict[str, Any]]:
    tried = 0

    def tell(line: str) -> None:
        nonlocal tried
        tried += 1
        progress("candidates", tried, 0)

    keep = request.keep if request.keep is not None else DEFAULT_KEEP
    settings = {
        "keep": keep,
        "confidence": request.confidence,
        "episodes": request.episodes,
        "seed": request.seed,
    }
    compressed, report = compress(policy, **settings, progress=tell, evaluator=evaluator)

    def row(figures: dict[str, Any]) -> dict[str, Any]:
        smaller = size_decrease_percent(figures["parameters"], policy.trained_parameters)
        return {"rank": None, "parameters_paper": None, "size_decrease_percent": smaller, **figures}

    chosen = {**row(report["chosen"]), "label": report["chosen"]["method"]}
    return compressed, {"sweep": [row(candidate) for candidate in report["candidates"]], "chosen": chosen}
