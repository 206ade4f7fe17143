"""The simulated arm reacts as the dVRK's own software did, pair by pair (tests/data/dvrk_pairs.json).

It is played to on a stepped clock, so that no other job of this computer makes it late; `dvrk_pairs.py check`
plays over DDS, in real time.
"""

import pytest
from arm_bench import Bench
from dvrk_pairs import Player, check, load, topics_of
from pair_readings import Json

DATA = load()
STEP_S = 0.0025


class SteppedPace:
    """Time passes for the arm when the player sleeps; it hears the arm after each step."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.player: Player | None = None

    def monotonic(self) -> float:
        return 1e-9 * self._bench.clock.now().monotonic_ns

    def time_ns(self) -> int:
        return self._bench.clock.now().wall_ns

    def sleep(self, seconds: float) -> None:
        end_s = self.monotonic() + seconds
        while self.monotonic() < end_s - 1e-9:
            self._bench.pass_time(STEP_S, STEP_S)
            self.player.listen()


@pytest.fixture(scope="module")
def differences() -> dict[str, list[str]]:
    """What was different at the simulated arm, for each pair's id."""
    heard, spoken = topics_of(DATA)
    bench = Bench()
    pace = SteppedPace(bench)
    pace.player = player = Player(bench.transport, "PSM1", heard, pace)
    player.ready(spoken)
    # those that need an arm that has heard nothing yet come first
    found = check(
        player, {**DATA, "pairs": sorted(DATA["pairs"], key=lambda pair: pair["given"][0] != "FRESH")}
    )
    bench.sim.close()
    return found


@pytest.mark.parametrize("pair", DATA["pairs"], ids=lambda pair: pair["id"])
def test_the_simulated_arm_reacts_as_the_dvrk(pair: Json, differences: dict[str, list[str]]) -> None:
    assert differences[pair["id"]] == [], pair["what"]
