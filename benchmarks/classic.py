"""The full run behind results/classic: the classic suite in parts, one folder each, and one set of tables
from all that is there.

    python benchmarks/classic.py --out runs/classic [--jobs 2] [--parts NAME ...] [--tables]

A part is one environment x algorithm with dense and L0 policies, the same with L1 and L2 (`-shrinkage`), or a
map beta x lambda (`-temperatures`). Every part can be interrupted and goes on with the same command.
`--tables` only writes the tables of what is finished.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

from l0_surgical.commands.terminal import ProgressBar
from l0_surgical.experiments.jobs import CellResult, read_result
from l0_surgical.experiments.suite import Tables, Where, run_suite, write_tables
from l0_surgical.experiments.suites.classic import ENVIRONMENTS, TEMPERATURE_GRID, SuiteConfig
from l0_surgical.experiments.works import save_policies
from l0_surgical.system.errors import BadInputError


def parts() -> dict[str, SuiteConfig]:
    """Name and grid of every part, the most wanted first."""
    base = SuiteConfig(temperatures=())
    cells = list(itertools.product(ENVIRONMENTS, ("ppo", "dqn")))
    found = {}
    for group, regularizers in (("", ("none", "l0")), ("-shrinkage", ("l1", "l2"))):
        for environment, algorithm in cells:
            chosen = {
                "environments": (environment,),
                "algorithms": (algorithm,),
                "regularizers": regularizers,
            }
            found[f"{environment}-{algorithm}{group}"] = dataclasses.replace(base, **chosen)
    mapped = SuiteConfig(regularizers=())
    for environment, algorithm in TEMPERATURE_GRID:
        chosen = {"environments": (environment,), "algorithms": (algorithm,)}
        found[f"{environment}-{algorithm}-temperatures"] = dataclasses.replace(mapped, **chosen)
    return found


def main() -> None:
    """Runs the parts and writes the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts")
    parser.add_argument("--results", type=Path, default=Path("results/classic"), help="where the tables go")
    parser.add_argument("--parts", nargs="*", default=list(parts()), choices=list(parts()))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tables", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    with ProgressBar() as bar:
        for name in () if arguments.tables else arguments.parts:
            where = Where(jobs=arguments.jobs, progress=bar)
            result = run_suite(parts()[name], arguments.out / name, where, f"part {name}")
            print(
                json.dumps(
                    {
                        key: result[key]
                        for key in ("out", "policies", "chosen", "failed", "run_again", "cpu_seconds")
                    }
                ),
                flush=True,
            )
    trained, reduced = (finished(arguments.out, stage) for stage in ("training", "reduction"))
    members = [row for folder, cell in trained for row in save_policies(cell, folder)]
    arguments.results.mkdir(parents=True, exist_ok=True)
    write_tables(
        Tables(members, [cell for _, cell in trained], [cell for _, cell in reduced]),
        arguments.results,
        config={**dataclasses.asdict(SuiteConfig()), "parts": sorted({folder.name for folder, _ in trained})},
        command="python benchmarks/classic.py --out runs/classic",
        cpu_seconds=sum(cell.cpu_seconds for _, cell in (*trained, *reduced)),
    )
    print(f"{len(members)} policies in {arguments.results}")


def finished(out: Path, stage: str) -> list[tuple[Path, CellResult]]:
    """The sound results of a stage with their parts' folders, each cell once.

    Raises:
        BadInputError: two parts hold different cells of one name.
    """
    found: dict[str, tuple[Path, CellResult]] = {}
    for file in sorted(out.glob(f"*/{stage}/cells/*/result.json")):
        cell = read_result(file, file.parent.name)
        if cell is None:
            continue
        known = found.setdefault(cell.name, (file.parents[3], cell))[1]
        if known.specification != cell.specification:
            raise BadInputError(
                f"{file} and another part hold different cells {cell.name}; keep one of them in {out}"
            )
    return list(found.values())


if __name__ == "__main__":
    main()
