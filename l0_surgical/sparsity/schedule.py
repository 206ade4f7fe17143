"""When a sparsifier acts, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The factor of a penalty by update number: 0, then growing to 1, then 0 again for good.

    Attributes:
        start: the first update that may have a penalty.
        ramp: updates over which the factor grows linearly from 0 to 1; 0: at once.
        end: the update from which there is no penalty and what is zero stays zero; None: never.
    """

    start: int = 0
    ramp: int = 0
    end: int | None = None

    def factor(self, update: int) -> float:
        """The factor at `update`, in [0, 1]."""
        if self.is_over(update):
            return 0.0
        if self.ramp == 0:
            return float(update >= self.start)
        return min(max((update - self.start) / self.ramp, 0.0), 1.0)

    def is_over(self, update: int) -> bool:
        """Whether fine-tuning has begun."""
        return self.end is not None and update >= self.end
