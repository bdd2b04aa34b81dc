"""The figures of a run on several hosts: those of any run, and what concerns leases."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from torture import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.hosts.host import Host
    from torture.hosts.run import HostsRun

_COUNTED = {
    "lease_not_renewed": "leases that nearly ended or ended",
    "lease_renewed": "renewed after that",
    "supervisor_stalled": "stalls of supervisors",
    "job.superseded": "late outcomes that were refused",
}


def figures(run: HostsRun) -> list[str]:
    """Everything that was counted, one line for each subject."""
    woken = run.late.woken.values()
    late = {
        "attempts that wrote after the wake of their host": str(len(woken)),
        "the latest": f"{max(woken, default=0.0):.3f} s",
        "attempts whose children outlived the supervisor": str(len(run.late.orphans)),
    }
    leases = Counter(name for host in run.hosts for name in _named_events(host))
    return [
        *report.figures(run),
        report.one_line("packets", {"dropped at random": run.lost_packets}),
        report.one_line("leases", leases),
        report.one_line("superseded", late),
    ]


def _named_events(host: Host) -> Iterator[str]:
    """What the log of a host has of leases and rescues."""
    for line in host.log():
        event = line.get("event")
        if event in _COUNTED:
            yield _COUNTED[event]
        if event == "job_lost":
            is_own = bool({*host.namespaces.ids} & {*str(line.get("run")).split(":")})
            yield "jobs of dead runs of the same host" if is_own else "jobs of other hosts rescued"
