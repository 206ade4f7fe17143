"""The command line: `main` finds the command that is asked for and loads it alone."""
