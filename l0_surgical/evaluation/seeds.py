"""The seeds of episodes: streams for training, for choosing and for the last word, which never meet."""

from typing import Literal, get_args

import numpy as np

from l0_surgical.system.errors import BadInputError

Stream = Literal["train", "validation", "test"]
STREAMS: tuple[str, ...] = get_args(Stream)


def episode_seeds(stream: Stream, seed: int, episodes: int) -> list[int]:
    """The environment seeds of a run's episodes, in [0, 2^32).

    The streams are disjoint for all seeds (the last two bits name the stream), and more episodes only
    continue the same list.

    Raises:
        BadInputError: an unknown stream, a negative seed, or no episodes.
    """
    if stream not in STREAMS:
        raise BadInputError(f"unknown stream of episodes {stream!r}; known are {', '.join(STREAMS)}")
    if seed < 0 or episodes < 1:
        raise BadInputError(
            f"cannot draw {episodes} episodes from the seed {seed}; give at least 1 episode and a seed of "
            "at least 0"
        )
    number = STREAMS.index(stream)
    words = np.random.SeedSequence(entropy=seed, spawn_key=(number,)).generate_state(episodes, np.uint32)
    return [int(word) & ~3 | number for word in words]
