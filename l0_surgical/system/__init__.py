"""What any room may need of the computer: errors, bounds of settings, files, locks, processes, signals,
memory, compiled functions."""
