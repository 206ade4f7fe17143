"""Whether what is about to be made fits into memory: the system gives more than there is, and kills the
process once it is filled."""

import os
from pathlib import Path

from l0_surgical.system.errors import BadInputError


def check_memory(what: str, members: int, bytes_each: int, remedy: str) -> None:
    """Checks what `members` need, before it is made; better a bound that is too low than one that refuses
    what would run.

    Raises:
        BadInputError: it is more than this machine has.
    """
    needed, there = members * bytes_each / 2**30, memory_bytes() / 2**30
    if needed > there:
        of = f"the {what} of {members} members" if members > 1 else f"the {what}"
        raise BadInputError(
            f"{of} would take {needed:.1f} GiB of memory and this machine has {there:.1f}; {remedy}"
        )


def memory_bytes() -> int:
    """Memory of this machine, or of the container (control group) that this process lives in."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return physical
