"""The report on results folders: the paper's tables and figures beside its printed numbers, with verdicts."""
