"""What settings of several sections may be.

Upper bounds are far beyond any use. They stand where a slip of the keyboard would otherwise end in a full
memory, in an overflow of float32, or in a training that cannot learn.
"""

from typing import Annotated, Any

from l0_surgical.system.bounds import Bound
from l0_surgical.system.errors import BadInputError

Units = Annotated[int, Bound(1, 4096, beyond="two such layers and their optimiser already take a gigabyte")]
Environments = Annotated[
    int, Bound(1, 4096, beyond="each is simulated on its own; make the round longer instead")
]
Batch = Annotated[
    int, Bound(1, 65_536, beyond="more would not fit into memory with all the updates of a round")
]
Buffer = Annotated[
    int, Bound(1, 10_000_000, beyond="that is a gigabyte per member, and more would not fit into memory")
]
Repeats = Annotated[
    int, Bound(1, 10_000, beyond="the random numbers of a whole round would not fit into memory")
]
Period = Annotated[int, Bound(1, 10**9)]
Start = Annotated[int, Bound(0, 10**9)]
Share = Annotated[float, Bound(0, 1)]
Temperature = Annotated[float, Bound(1e-3, 1000)]
LearningRate = Annotated[float, Bound(above=0, most=1)]
Scale = Annotated[float, Bound(1e-6, 10**6)]
"""A factor or a limit; its square and its inverse are still good numbers in float32."""
NotNegative = Annotated[float, Bound(0, 10**6)]


def require(holds: bool, name: str, value: Any, remedy: str) -> None:
    """Judges what two settings must fulfil together.

    Raises:
        BadInputError: `--name VALUE: remedy`, where it does not hold.
    """
    if not holds:
        raise BadInputError(f"--{name} {value}: {remedy}")
