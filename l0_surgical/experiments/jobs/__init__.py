"""Many cells (a policy, a sweep) on processes of this machine or of a Ray cluster, with one store."""

from l0_surgical.experiments.jobs.run import InterruptedCells, Outcome, run_cells
from l0_surgical.experiments.jobs.store import Cell, CellResult, Work, read_result

__all__ = ["Cell", "CellResult", "InterruptedCells", "Outcome", "Work", "read_result", "run_cells"]
