"""The papers' suites and the demonstration: what is run, the tables and the figures."""
