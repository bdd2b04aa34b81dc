"""`python -m torture.hosts`: torture three hosts and their network, and check all promises."""

from __future__ import annotations

import sys
from contextlib import closing

from support import faketime
from torture import command
from torture.hosts.namespaces import are_possible
from torture.hosts.report import figures
from torture.hosts.run import HostsRun

_IMPOSSIBLE = 77


def main() -> int:
    """Make one run.

    Returns:
        The exit code: 0 when nothing was wrong, 1 otherwise, and 77 where it cannot be made.
    """
    parser = command.parser("torture.hosts", __doc__)
    parser.add_argument("--pooler", action="store_true", help="put PgBouncer before the server")
    options = parser.parse_args()
    if not are_possible():
        command.say("this account may not make namespaces with a network here")
        return _IMPOSSIBLE
    if faketime.LIBRARY is None:
        command.say(faketime.MISSING)
        return _IMPOSSIBLE
    home = command.prepare(options)
    replay = f"make torture-hosts SEED={options.seed} DURATION={options.duration:g}"
    replay += " POOLER=1" if options.pooler else ""
    with closing(HostsRun(home, options.seed, options.duration, pooler=options.pooler)) as run:
        return command.finish(run, lambda: figures(run), options.keep, replay)


if __name__ == "__main__":
    sys.exit(main())
