"""The results as a picture: `python picture.py FOLDER` draws FOLDER/results.svg.

It runs in an environment of its own, which has matplotlib, and so imports nothing of this project.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

PANELS = (
    ("drain", "jobs/s", "Drain, 2 workers", "jobs a second, more is better"),
    ("submit", "jobs/s", "Submit one at a time", "jobs a second, more is better"),
    ("bulk", "jobs/s", "Submit in bulk", "jobs a second, more is better"),
    ("latency", "whole p50 ms", "Submit to first line, idle pool", "ms, median, less is better"),
    ("idle", "CPU s/h", "Idle pool with its server", "CPU seconds an hour, less is better"),
    ("idle", "PSS MB", "Idle pool with its server", "MB of memory, less is better"),
)
OURS, FULL, OTHERS, INK = "#0b6e4f", "#6bbf9c", "#b9c0c8", "#24292f"
FONT = {"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "-"}


def main() -> None:
    """Draw."""
    folder = Path(sys.argv[1])
    record = json.loads((folder / "results.json").read_text())
    plt.rcParams.update(FONT | {"text.color": INK, "ytick.color": INK, "axes.labelcolor": INK})
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.4))
    for axis, (scenario, figure_name, title, unit) in zip(axes.flat, PANELS, strict=True):
        _panel(axis, _values(record, scenario, figure_name), record["peers"])
        axis.set_title(title, loc="left", fontweight="bold", fontsize=11, pad=18)
        axis.text(0, 1.02, f"{unit}, log scale", transform=axis.transAxes, color="#57606a")
    about = record["machine"]
    figure.text(
        0.01,
        0.012,
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}, SQLite "
        f"{about['sqlite']}, commit {about['commit']}, {about['began'][:10]}. "
        "Medians; queues that could not be measured are in the tables.",
        color="#57606a",
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0.03, 1, 1), w_pad=2.5, h_pad=2.5)
    figure.savefig(folder / "results.svg", metadata={"Date": None})


def _values(record: dict[str, Any], scenario: str, name: str) -> dict[str, float]:
    rounds = record["rounds"].get(scenario, {})
    found = {peer: [t[name] for t in tries if name in t] for peer, tries in rounds.items()}
    return {peer: statistics.median(values) for peer, values in found.items() if values}


def _panel(axis: Any, values: dict[str, float], peers: dict[str, Any]) -> None:
    names = list(reversed(values))
    colours = [{"gigq": OURS, "gigq_full": FULL}.get(name, OTHERS) for name in names]
    shown = [max(values[name], 1e-3) for name in names]
    axis.barh([peers[name]["title"] for name in names], shown, color=colours, height=0.72)
    for place, value in enumerate(shown):
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axis.annotate(
            text, (value, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
        )
    if shown:
        axis.set_xscale("log")
        axis.set_xlim(min(shown) / 3, max(shown) * 5)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_visible(False)
    axis.yaxis.set_visible(bool(shown))
    if not shown:
        axis.text(0, 0.9, "not measured in this run", transform=axis.transAxes, color="#57606a")
    for side in ("top", "right", "bottom", "left"):
        axis.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
