"""Answers of several commands, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli import exits, job_ids, terminal, text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence


def answer(args: argparse.Namespace, shape: Mapping[str, object], sentence: str) -> None:
    """Print the answer as a sentence, or as JSON with `--json`."""
    if args.json:
        terminal.print_json(shape)
    else:
        print(sentence)


def not_found(args: argparse.Namespace, job_id: str) -> int:
    """Print that there is no such job."""
    short = len(job_id) < job_ids.SHORTEST_PART
    hint = f" A part of an id has at least {job_ids.SHORTEST_PART} characters." if short else ""
    sentence = f"Job {text.printable(job_id)} not found.{hint}"
    answer(args, {"id": job_id, "exists": False}, sentence)
    return exits.NEGATIVE


def ambiguous_id(args: argparse.Namespace, given: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Print the jobs whose ids contain a text."""
    shape = {"id": given, "exists": False, "ambiguous": [row["id"] for row in rows]}
    answer(args, shape, f"{job_ids.ambiguous(given, rows)}.")
    return exits.NEGATIVE


def is_plain(execution: Mapping[str, Any]) -> bool:
    """Return True when a plain worker, and not a daemon, ran the attempt."""
    return not (execution["run"] or "").startswith("gigqd:")
