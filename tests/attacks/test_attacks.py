"""Every attack of the catalogue, each with a fresh arm and a fresh controller over real DDS; the arm's own
word is the judge.

Several scenes are played at a time, each in a process of its own with two more for the arm and the
controller; see docs/safety.md.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from l0_surgical.robot.control.limits import load_limits
from tests.attacks.catalogue import ATTACKS, VARIANTS
from tests.attacks.scene import play
from tests.attacks.stage import Result, Staging
from tests.attacks.table import Outcome, write_table
from tests.attacks.verdict import escapes
from tests.attacks.workers import end_with_parent, processes
from tests.hil.shared_machine import write_limits

ARM = "PSM1"
SCENES = 3
PATIENCE_S = 1.0


class Show:
    """All scenes of the selected attacks, played ahead of the tests that ask for them."""

    def __init__(self, config: pytest.Config, names: list[str], folder: Path) -> None:
        self._is_strict = bool(config.getoption("--package-limits", False))
        command = config.getoption("--arm-command", None)
        self.is_simulated = command is None
        self._label = (
            "simulated arm" if self.is_simulated else config.getoption("--arm-label", None) or command
        )
        self._table = config.getoption("--write-table", None)
        self.limits_file = None if self._is_strict else write_limits(folder)
        self._limits = load_limits(self.limits_file, ARM)
        self._pool = ProcessPoolExecutor(
            config.getoption("--scenes", None) or SCENES, processes(), end_with_parent
        )
        staging = Staging(ARM, command, self.limits_file)
        played = [name for name in names if self.is_simulated or not ATTACKS[name].needs_simulation]
        self._results: dict[str, Future[Result]] = {
            name: self._pool.submit(play, name, place, staging) for place, name in enumerate(played)
        }
        self.outcomes: dict[str, Outcome] = {}

    def outcome(self, name: str) -> Outcome:
        attack, result = ATTACKS[name], self._results[name].result()
        found = escapes(attack, result, self._limits, 0.0 if self._is_strict else PATIENCE_S)
        return self.outcomes.setdefault(name, Outcome(attack, result, found))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._table is not None:
            limits = (
                "the package's limits"
                if self._is_strict
                else "the package's limits, those of lateness widened"
            )
            write_table(
                self._table,
                "simulated arm" if self.is_simulated else "another arm",
                self._label,
                limits,
                self.outcomes,
            )


@pytest.fixture(scope="session")
def show(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "originalname", "") == test_attack.__name__
    ]
    show = Show(request.config, names, tmp_path_factory.mktemp("attacks"))
    try:
        yield show
    finally:
        show.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        all_of_them = metafunc.config.getoption("--all-attacks", False)
        metafunc.parametrize("name", [name for name in ATTACKS if all_of_them or name not in VARIANTS])


def test_attack(name: str, show: Show) -> None:
    if ATTACKS[name].needs_simulation and not show.is_simulated:
        pytest.skip("it needs our simulated arm, which can be told to lie, to fail or to stop")
    outcome = show.outcome(name)
    assert outcome.escapes == {}, outcome
