"""A run: the loop, its folder with metrics and checkpoints, exact resumption."""

from l0_surgical.training.run import InterruptedRun, complete, is_of, resume, set_threads, train

__all__ = ["InterruptedRun", "complete", "is_of", "resume", "set_threads", "train"]
