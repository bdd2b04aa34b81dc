"""Measure: `python -m bench --peers gigq,huey --scenarios drain,latency --quick`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from bench import peers, runs
from bench.floors import FLOORS
from bench.scenarios import ON_POSTGRES, ONLY_ON_SERVER, SCENARIOS, SHORT, Effort


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peers", default="", help=f"of {', '.join([*peers.ALL, 'floor'])}")
    parser.add_argument("--scenarios", default="", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--postgres", action="store_true", help="the queues on PostgreSQL")
    parser.add_argument("--quick", action="store_true", help="a short run with fewer jobs")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3; quick: 1)")
    parser.add_argument(
        "--minutes", type=float, help="begin nothing after so long (20; PostgreSQL: 9; quick: 4)"
    )
    parser.add_argument("--out", type=Path, help="where to write")
    parser.add_argument("--where", type=Path, help="the disk to measure on, as a folder")
    runs.run(_plan(parser.parse_args()))


def _plan(options: argparse.Namespace) -> runs.Plan:
    names, scenarios = (
        [*peers.NAMES, "floor"],
        [name for name in SCENARIOS if name not in ONLY_ON_SERVER],
    )
    minutes, effort, out = 20.0, Effort(), Path("docs/benchmarks")
    if options.postgres:
        names, scenarios = list(peers.ON_POSTGRES), list(ON_POSTGRES)
        # A queue that notifies ten times a second is idle a tenth of a second after a job.
        effort = Effort(latencies=60, idle=5.0, fill=20.0, gap=(0.11, 0.16))
        minutes, out = 9.0, out / "postgres"
    if options.quick:
        minutes, effort = 4.0, replace(SHORT, gap=effort.gap)
    return runs.Plan(
        peers=_chosen("peer", options.peers, names, [*peers.ALL, "floor"]),
        scenarios=_chosen("scenario", options.scenarios, scenarios, list(SCENARIOS)),
        floors=tuple(FLOORS),
        effort=effort,
        rounds=options.rounds or (1 if options.quick else 3),
        minutes=options.minutes or minutes,
        out=options.out or out,
        where=options.where,
    )


def _chosen(what: str, text: str, usual: list[str], known: list[str]) -> tuple[str, ...]:
    wanted = [name for name in text.replace(",", " ").split() if name] or usual
    for name in wanted:
        if name not in known:
            sys.exit(f"there is no {what} {name!r}; there are {', '.join(known)}")
    return tuple(wanted)


if __name__ == "__main__":
    main()
