"""The report on results folders: the paper's tables and figures beside its printed numbers, with verdicts."""

from l0_surgical.experiments.report.build import build_report

__all__ = ["build_report"]
