"""Histograms of durations that cost a loop well under a microsecond a sample and a fixed amount of memory."""

import math
from dataclasses import dataclass

_BINS_PER_DECADE = 100
_DECADES = 8
_LOWEST_S = 1e-7


@dataclass(frozen=True)
class Summary:
    """Percentiles in milliseconds; all 0 where nothing was counted."""

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Histogram:
    """Counts durations from 0.1 us to 10 s in bins 2.3 % wide; the largest is kept exactly."""

    def __init__(self) -> None:
        self._counts = [0] * (_BINS_PER_DECADE * _DECADES + 1)
        self._count = 0
        self._max_s = 0.0

    def add(self, seconds: float) -> None:
        """Counts one duration (s); anything below 0.1 us falls in the lowest bin."""
        index = math.ceil(_BINS_PER_DECADE * math.log10(seconds / _LOWEST_S)) if seconds > _LOWEST_S else 0
        self._counts[min(index, len(self._counts) - 1)] += 1
        self._count += 1
        if seconds > self._max_s:
            self._max_s = seconds

    def percentile(self, percent: float) -> float:
        """The duration (s) that `percent` of the samples do not exceed: the bin's upper edge, at most the
        largest sample."""
        rank = math.ceil(self._count * percent / 100)
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= rank and seen:
                return min(_LOWEST_S * 10 ** (index / _BINS_PER_DECADE), self._max_s)
        return 0.0

    def summary(self) -> Summary:
        p50, p99, p999 = (1e3 * self.percentile(percent) for percent in (50, 99, 99.9))
        return Summary(self._count, p50, p99, p999, 1e3 * self._max_s)
