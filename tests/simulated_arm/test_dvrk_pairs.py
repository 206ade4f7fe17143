"""The simulated arm reacts as the dVRK's own software did, pair by pair (tests/data/dvrk_pairs.json).

In time that this process makes pass, so that no other program's load is in what is compared; `dvrk_pairs.py check` does the same over DDS.
"""

import pytest
from dvrk_pairs import Player, check, load, topics_of
from in_memory_transport import Broker, MemoryTransport
from kinematic_arm import SteppedClock
from pair_readings import Json

from l0_surgical.simulated_arm import SimulatedArm

ARM = "PSM1"
STEP_S = 0.002
DATA = load()


class SimulatedTime:
    """Passes for one simulated arm and the player that listens to it."""

    def __init__(self, topics: set[str]) -> None:
        self._clock = SteppedClock()
        broker = Broker(self._clock)
        self._arm = SimulatedArm(MemoryTransport(broker), ARM, clock=self._clock)
        self.player = Player(MemoryTransport(broker), ARM, topics, self)

    def now(self) -> float:
        return 1e-9 * self._clock.now().monotonic_ns

    def sleep(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self._clock.advance(STEP_S)
            self._arm.step(STEP_S)
            self.player.listen()


@pytest.fixture(scope="module")
def differences() -> dict[str, list[str]]:
    """What was different at the simulated arm, for each pair's id."""
    heard, spoken = topics_of(DATA)
    passing = SimulatedTime(heard)
    passing.player.ready(spoken)
    return check(passing.player, DATA)


@pytest.mark.parametrize("pair", DATA["pairs"], ids=lambda pair: pair["id"])
def test_the_simulated_arm_reacts_as_the_dvrk(pair: Json, differences: dict[str, list[str]]) -> None:
    assert differences[pair["id"]] == [], pair["what"]
