"""Cohorts: the members of a run that share one kind of regulariser, with their learner, replay buffers and
experience.

Every random draw is a function of (member seed, stream, round), so there is no generator state to save, and
neither an interruption nor the other members can change what a member sees.
"""

from l0_surgical.algorithms.cohorts.common import GATE_SEED, Cohort, make_sparsifier, provenance
from l0_surgical.algorithms.cohorts.open import Setting, open_setting

__all__ = ["GATE_SEED", "Cohort", "Setting", "make_sparsifier", "open_setting", "provenance"]
