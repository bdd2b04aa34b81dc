"""A run in tables: one for each scenario, with the ratio to gigq in the same run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from bench import aims, venvs
from bench.figures import UNKNOWN, counted, median, medians, ratio, table, written
from bench.headings import HEADINGS, Heading

OURS = ("gigq", "gigq_postgres")
"""The first of them that was measured is compared with the others."""

_COUNTS = {"finished", "jobs", "processes", "samples"}
Record = dict[str, Any]


def write(out: Path, record: Record) -> None:
    """Write `results.md` and `results.svg`, when its library can be had, beside the figures."""
    (out / "results.md").write_text(page(record))
    try:
        draw = [venvs.plotting(), str(Path(__file__).with_name("picture.py")), str(out)]
        subprocess.run(draw, check=True)
    except (venvs.CannotBeMeasured, subprocess.CalledProcessError) as error:
        print(f"no picture was drawn: {error}")


def page(record: Record) -> str:
    """The whole page."""
    parts = ["# Results\n", _machine(record["machine"]), "## What was measured\n", _peers(record)]
    if record["floors"]:
        parts += ["## Floors\n", _floors(record)]
    if aims.ON in record["peers"]:
        parts += ["## Aims on PostgreSQL\n", aims.page(record["rounds"])]
    for name, rounds in record["rounds"].items():
        heading = HEADINGS[name]
        parts += [f"## {heading.title}\n", heading.text + "\n", _scenario(record, heading, rounds)]
    return "\n".join(parts)


def _machine(facts: dict[str, Any]) -> str:
    return table(["", "machine"], [[name, str(value)] for name, value in facts.items()])


def _peers(record: Record) -> str:
    heads = ["queue", "a job is on disk when `submit` returns", "how it is run", "installed"]
    rows = []
    for said in record["peers"].values():
        installed = ", ".join(said["requires"]) or "this commit"
        if "missing" in said:
            installed = f"not measured: {said['missing']}"
        rows.append([said["title"], said["durable"], said["settings"], installed])
    return table(heads, rows).replace("---:", "---")


def _floors(record: Record) -> str:
    rows = [[name, written(median(rates))] for name, rates in record["floors"].items()]
    return table(["one process", "per second"], rows)


def _scenario(record: Record, heading: Heading, rounds: dict[str, list[dict[str, Any]]]) -> str:
    found = {name: medians(_numbers(tries)) for name, tries in rounds.items()}
    own = next((found[name].get(heading.main) for name in OURS if name in found), None)
    rows = []
    for name, said in record["peers"].items():
        if name not in rounds and "missing" not in said:
            continue
        figures = found.get(name, {})
        how = ratio(own, figures.get(heading.main), more_is_better=heading.more_is_better)
        cells = [_shown(column, figures.get(column)) for column in heading.columns]
        times = UNKNOWN if how is None else f"{written(how)}x"
        remark = said.get("missing") or _remark(rounds.get(name, []))
        rows.append([said["title"], *cells, times, remark])
    heads = ["queue", *heading.columns, "gigq is better by", "remark"]
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return table(heads, rows)


def _shown(column: str, value: float | None) -> str:
    return counted(value) if column in _COUNTS else written(value)


def _numbers(tries: list[dict[str, Any]]) -> list[dict[str, float]]:
    kinds = (int, float)
    return [{k: v for k, v in found.items() if isinstance(v, kinds)} for found in tries]


def _remark(tries: list[dict[str, Any]]) -> str:
    said = dict.fromkeys(str(found["stopped"]) for found in tries if "stopped" in found)
    return "; ".join(" ".join(text.split()) for text in said)
