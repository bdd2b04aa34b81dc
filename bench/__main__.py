"""Measure: `python -m bench --peers gigq,huey --scenarios drain,latency --quick`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import peers, runs
from bench.floors import FLOORS
from bench.scenarios import SCENARIOS, SHORT, Effort


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peers", default="", help=f"of {', '.join([*peers.NAMES, 'floor'])}")
    parser.add_argument("--scenarios", default="", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="a short run with fewer jobs")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3; quick: 1)")
    parser.add_argument("--minutes", type=float, help="begin nothing after so long (20; quick: 4)")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="where to write")
    parser.add_argument("--where", type=Path, help="the disk to measure on, as a folder")
    options = parser.parse_args()
    plan = runs.Plan(
        peers=_chosen("peer", options.peers, [*peers.NAMES, "floor"]),
        scenarios=_chosen("scenario", options.scenarios, list(SCENARIOS)),
        floors=tuple(FLOORS),
        effort=SHORT if options.quick else Effort(),
        rounds=options.rounds or (1 if options.quick else 3),
        minutes=options.minutes or (4 if options.quick else 20),
        out=options.out,
        where=options.where,
    )
    runs.run(plan)


def _chosen(what: str, text: str, known: list[str]) -> tuple[str, ...]:
    wanted = [name for name in text.replace(",", " ").split() if name] or known
    for name in wanted:
        if name not in known:
            sys.exit(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return tuple(wanted)


if __name__ == "__main__":
    main()
