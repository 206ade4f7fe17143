"""An animation of a policy at work, at real speed.

    python demos/watch_policy.py POLICY [--out reach.gif] [--episodes 3] [--steps 12]

POLICY is a policy file or the name of a shipped policy. No display is needed.
"""

import argparse
import sys
from pathlib import Path

from l0_surgical.experiments.report.pictures import animate
from l0_surgical.policy import find_policy, load_policy
from l0_surgical.system.errors import L0SurgicalError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("policy", help="a policy file, or the name of a shipped policy")
    parser.add_argument("--out", type=Path, default=Path("reach.gif"), help="the GIF to write")
    parser.add_argument("--episodes", type=int, default=3, help="unseen episodes to show")
    parser.add_argument("--steps", type=int, default=12, help="steps of 0.2 s to show of each")
    arguments = parser.parse_args()
    try:
        policy = load_policy(find_policy(arguments.policy))
        animate([(policy.task, policy)], arguments.out, arguments.episodes, arguments.steps)
    except L0SurgicalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
