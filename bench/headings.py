"""How each scenario is shown: its title, its text, its columns and which of them is compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """How a scenario is shown.

    Attributes:
        title: the heading of its table.
        text: what was done.
        columns: the figures that are shown, by their names in the results.
        more_is_better: whether the first of them is a rate rather than a time or a cost.
    """

    title: str
    text: str
    columns: tuple[str, ...]
    more_is_better: bool = True

    @property
    def main(self) -> str:
        """The figure that is compared."""
        return self.columns[0]


_DRAIN = ("jobs/s", "jobs")
_DEPTH = ("jobs/s", "claim p50 ms", "claim p99 ms", "stats ms", "list_jobs ms", "status ms")
_FLOW = ("jobs/s", "independent jobs/s", "cost", "submit jobs/s")

HEADINGS = {
    "submit": Heading(
        "Submit one at a time",
        "One process submits, without workers.",
        ("jobs/s", "p50 ms", "p99 ms"),
    ),
    "bulk": Heading(
        "Submit in bulk",
        "With the fastest documented call; one job at a time if there is none.",
        _DRAIN,
    ),
    "drain": Heading(
        "Drain of no-op jobs, 2 workers",
        "All jobs are pending at the start. Time from the first line of the first job to that of "
        "the last.",
        _DRAIN,
    ),
    "drain8": Heading("Drain of no-op jobs, 8 workers", "On the same 2 cores.", _DRAIN),
    "sleep10": Heading(
        "Jobs of 10 ms, 2 workers",
        "Overhead: the time of a job beyond 10 ms.",
        ("share of ideal", "overhead ms"),
    ),
    "latency": Heading(
        "Latency into an idle pool, 2 workers",
        "Time from the call of `submit` (whole), or from its return, to the first line of the "
        "function; negative if the function starts before `submit` returns.",
        (
            "whole p50 ms",
            "whole p99 ms",
            "after return p50 ms",
            "after return p99 ms",
            "samples",
        ),
        more_is_better=False,
    ),
    "latency_paced": Heading(
        "Latency with a pause of 5 to 25 ms after each job, 2 workers",
        "The same, for an application that submits the next job soon.",
        (
            "after return p50 ms",
            "after return p99 ms",
            "whole p50 ms",
            "whole p99 ms",
            "samples",
        ),
        more_is_better=False,
    ),
    "later": Heading(
        "Lateness of delayed jobs, 2 idle workers",
        "Time from the moment at which a job is due to the first line of its function. Jobs are "
        "submitted at least 3 s ahead, for a moment every 40 ms on average.",
        ("p50 ms", "p99 ms", "worst ms", "earliest ms", "samples"),
        more_is_better=False,
    ),
    "later_busy": Heading(
        "Lateness of delayed jobs, 2 workers half busy",
        "The same while a job of 10 ms is submitted every 10 ms.",
        ("p50 ms", "p99 ms", "worst ms", "earliest ms", "samples"),
        more_is_better=False,
    ),
    "load": Heading(
        "Submit while 2 workers drain without pause",
        "Another process submits one job a millisecond. Spread: the largest deviation of a "
        "worker's number of jobs from the mean.",
        ("p99 ms", "p50 ms", "worst ms", "spread %", "samples"),
        more_is_better=False,
    ),
    "idle": Heading(
        "An idle pool of 2 workers, with its server",
        "Processor time an hour, and memory (PSS) of all processes.",
        ("CPU s/h", "PSS MB", "processes"),
        more_is_better=False,
    ),
    "idle4": Heading(
        "An idle pool of 4 workers",
        "Processor time an hour, and memory (PSS) of all processes.",
        ("CPU s/h", "PSS MB", "processes"),
        more_is_better=False,
    ),
    "idle_load": Heading(
        "Queries of 4 idle workers",
        "Statements that reach the server in a second, counted in its log.",
        ("queries/s",),
        more_is_better=False,
    ),
    "startup": Heading(
        "Start to first job",
        "Time from the command that starts 2 workers to the first line of a pending job. A server "
        "runs already.",
        ("ms",),
        more_is_better=False,
    ),
    "depth_1k": Heading("1,000 pending", "Drain, claims and queries.", _DEPTH),
    "depth_100k": Heading("100,000 pending", "Drain, claims and queries.", _DEPTH),
    "depth_1m": Heading("1,000,000 pending", "Drain, claims and queries.", _DEPTH),
    "finished_1m": Heading(
        "1,000,000 finished, 10,000 pending",
        "Drain, claims and queries.",
        (*_DEPTH, "finished"),
    ),
    "chain": Heading(
        "A workflow: a chain", "Cost: time of a job relative to an independent job.", _FLOW
    ),
    "fan": Heading(
        "A workflow: fan-out and fan-in",
        "One job, then many jobs that depend on it, then one that depends on all of these.",
        _FLOW,
    ),
}
