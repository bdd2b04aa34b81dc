"""`python -m torture`: torture a gigqd for a while, and say whether it has kept its promises."""

from __future__ import annotations

import sys
from contextlib import closing

from torture import command
from torture.report import figures
from torture.run import Run


def main() -> int:
    """Make one run.

    Returns:
        The exit code: 0 when nothing was wrong, 1 otherwise.
    """
    parser = command.parser("torture", __doc__)
    parser.add_argument("--submitters", type=int, default=3, help="how many processes submit (3)")
    database = 'of the queue: "sqlite" (the default), "postgres", or the address of an empty schema'
    parser.add_argument("--database", default="sqlite", help=database)
    options = parser.parse_args()
    home = command.prepare(options)
    run = Run(home, options.seed, options.duration, options.submitters, options.database)
    plan = f"SEED={options.seed} DURATION={options.duration:g} DATABASE={options.database}"
    with closing(run.database):
        return command.finish(run, lambda: figures(run), options.keep, f"make torture {plan}")


if __name__ == "__main__":
    sys.exit(main())
