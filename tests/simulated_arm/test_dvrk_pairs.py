"""The simulated arm reacts as the dVRK's own software did, pair by pair (tests/data/dvrk_pairs.json)."""

import contextlib
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dvrk_pairs import Player, check, load, topics_of
from pair_readings import Json

from l0_surgical.simulation import arm_beside

ARM = "PSM1"
# most of the time is spent in homing, which takes 1.6 s
ARMS = 6
DATA = load()


def shares() -> list[Json]:
    """The pairs dealt to `ARMS` arms; those that need an arm that has heard nothing yet come first, at the first arm."""
    fresh = [pair for pair in DATA["pairs"] if pair["given"][0] == "FRESH"]
    others = [pair for pair in DATA["pairs"] if pair["given"][0] != "FRESH"]
    return [{**DATA, "pairs": (fresh if number == 0 else []) + others[number::ARMS]} for number in range(ARMS)]


@pytest.fixture(scope="module")
def differences() -> Iterator[dict[str, list[str]]]:
    """What was different at the simulated arm, for each pair's id."""
    heard, spoken = topics_of(DATA)
    first = random.Random(os.getpid()).randrange(20, 100 - ARMS)
    with contextlib.ExitStack() as opened:
        players = []
        for domain in range(first, first + ARMS):
            opened.enter_context(arm_beside("--arm", ARM, "--transport", "dds", "--domain", str(domain)))
            players.append(opened.enter_context(contextlib.closing(Player(domain, ARM, heard))))
        for player in players:
            player.ready(spoken)
        with ThreadPoolExecutor(ARMS) as pool:
            found = list(pool.map(check, players, shares()))
        yield {name: lines for part in found for name, lines in part.items()}


@pytest.mark.parametrize("pair", DATA["pairs"], ids=lambda pair: pair["id"])
def test_the_simulated_arm_reacts_as_the_dvrk(pair: Json, differences: dict[str, list[str]]) -> None:
    assert differences[pair["id"]] == [], pair["what"]
