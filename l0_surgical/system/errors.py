"""The errors a user can cause or meet, each one line: what is wrong and how to mend it.

The command line prints the message without a traceback and exits with `exit_code` (2: bad input, 1: the work
itself failed).
"""


class L0SurgicalError(Exception):
    """The work failed for a reason outside the caller's arguments (a full disk, every member diverged)."""

    exit_code = 1


class BadInputError(L0SurgicalError, ValueError):
    """What the caller passed cannot be used; the message names the value and the remedy."""

    exit_code = 2
