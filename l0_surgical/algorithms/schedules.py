"""Values that change over a training."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """A value that goes linearly from `start` to `end` over `steps` and stays there; `start` for ever if
    `steps` is 0."""

    start: float
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        if self.steps == 0:
            return self.start
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Cosine:
    """A value that goes from `start` to `end` by half a cosine over the first part `span` of the training;
    `end` at once if `span` is 0."""

    start: float
    end: float
    span: float

    def __call__(self, progress: float) -> float:
        """The value after the part `progress` of the training."""
        part = min(progress / self.span, 1.0) if self.span > 0 else 1.0
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * part)) / 2
