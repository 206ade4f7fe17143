"""What may be taken from a policy, and the evidence that it may."""

from l0_surgical.compression.search import compress, kept_fraction, lowest_rank, rank_sweep

__all__ = ["compress", "kept_fraction", "lowest_rank", "rank_sweep"]
