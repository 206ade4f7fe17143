"""What is run: the grids of the suites, as data."""
