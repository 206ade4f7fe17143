"""`python -m l0_surgical` is the command `l0-surgical`."""

from l0_surgical.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
