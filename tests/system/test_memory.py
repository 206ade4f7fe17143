"""What does not fit into memory is refused before it is made; what does is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from l0_surgical.algorithms.networks import MemberMLP
from l0_surgical.algorithms.replay import HindsightReplay, TransitionReplay
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.memory import check_memory, memory_bytes


def test_the_machine_has_the_memory_that_it_says() -> None:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total = 1024 * int(next(line for line in lines if line.startswith("MemTotal")).split()[1])
    assert 2**28 < memory_bytes() <= 1.1 * total


def test_the_bound_is_the_memory() -> None:
    check_memory("parts", 2, memory_bytes() // 2, "")
    with pytest.raises(
        BadInputError,
        match=r"^the parts of 3 members would take [\d.]+ GiB of memory and this machine has [\d.]+; pass "
        r"less$",
    ):
        check_memory("parts", 3, memory_bytes() // 2, "pass less")


def hindsight(members: int, capacity: int) -> HindsightReplay:
    return HindsightReplay(
        members, capacity, 50, (7, 3, 5), 0.8, lambda achieved, desired, info: achieved[..., 0]
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TransitionReplay(1_000_000, 10_000_000, 8), "the replay buffers of 1000000 members"),
        (lambda: hindsight(1_000_000, 10_000_000), "the replay buffers of 1000000 members"),
        (lambda: MemberMLP((8, *[4096] * 64, 2), [0] * 1000, "tanh"), "the networks of 1000 members"),
    ],
)
def test_what_no_machine_can_hold_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(BadInputError, match=f"{words} would take .* members at a time"):
        make()


def test_what_is_common_fits() -> None:
    assert TransitionReplay(2, 100_000, 8).capacity == 100_000
    assert hindsight(2, 10_000).transitions(1) == 0
    assert MemberMLP((8, 256, 256, 2), [0, 1], "tanh").members == 2
