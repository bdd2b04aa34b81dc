"""The figures of a run on several hosts: those of any run, and what concerns leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torture import report

if TYPE_CHECKING:
    from torture.hosts.run import HostsRun


def figures(run: HostsRun) -> list[str]:
    """Everything that was counted, one line for each subject."""
    woken = run.late.woken.values()
    late = {
        "attempts that wrote after the wake of their host": str(len(woken)),
        "the latest": f"{max(woken, default=0.0):.3f} s",
        "attempts whose children outlived the supervisor": str(len(run.late.orphans)),
    }
    return [*report.figures(run), report.one_line("superseded", late)]
