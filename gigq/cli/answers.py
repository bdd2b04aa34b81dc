"""Answers that several commands give, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli import exit_codes, job_ids, output
from gigq.cli.formatting import local_time
from gigq.model.served_queues import EVERY
from gigq.terminal import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


def answer(args: argparse.Namespace, shape: object, sentence: str) -> None:
    """Print the answer as a sentence, or as JSON with `--json`."""
    if args.json:
        output.print_json(shape)
    else:
        print(sentence)


def no_jobs(args: argparse.Namespace) -> int:
    """Print that conditions select no job; JSON has a line for each job, so none."""
    if not args.json:
        print("No jobs found.")
    return exit_codes.NEGATIVE


def not_found(args: argparse.Namespace, job_id: str) -> int:
    """Print that there is no such job."""
    short = len(job_id) < job_ids.SHORTEST_PART
    hint = f" A part of an id has at least {job_ids.SHORTEST_PART} characters." if short else ""
    sentence = f"Job {printable(job_id)} not found.{hint}"
    answer(args, {"id": job_id, "exists": False}, sentence)
    return exit_codes.NEGATIVE


def not_one_job(args: argparse.Namespace, given: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Print that a text matches no job, or several; return 0 when it matches one."""
    if len(rows) == 1:
        return 0
    if not rows:
        return not_found(args, given)
    shape = {"id": given, "exists": False, "ambiguous": [row["id"] for row in rows]}
    answer(args, shape, f"{job_ids.ambiguous(given, rows)}.")
    return exit_codes.NEGATIVE


def pause_lines(paused: Mapping[str, str]) -> list[str]:
    """Return a line for each pause."""
    return [
        f"{f'queue {printable(name)}' if name != EVERY else 'every queue'} is paused, "
        f"since {local_time(since)}"
        for name, since in paused.items()
    ]
