"""A run: every queue in every scenario, in rounds, written down as it goes."""

from __future__ import annotations

import compileall
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench import floors, machine, peers, report, scenarios, venvs
from bench.scenarios import FOR_FLOOR, FULL_TOO, ONCE, ONLY_ON_SERVER, ONLY_OURS, SCENARIOS
from bench.session import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.scenarios import Effort, Found


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    peers: tuple[str, ...]
    scenarios: tuple[str, ...]
    floors: tuple[str, ...]
    effort: Effort
    rounds: int
    minutes: float
    out: Path
    where: Path | None


@dataclass(slots=True)
class Record:
    """What was found, in the form of the file."""

    machine: dict[str, Any]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Found]]] = field(default_factory=dict)
    floors: dict[str, list[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "machine": self.machine,
            "peers": self.peers,
            "rounds": self.rounds,
            "floors": self.floors,
        }


def run(plan: Plan) -> None:
    """Measure, and write results after every step."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers are ended
    plan.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + plan.minutes * 60
    record = Record(machine.facts(plan))
    for package in ("gigq", "gigqd"):
        compileall.compile_dir(venvs.HERE.parent / package, quiet=2)
    able = [name for name in plan.peers if name != "floor" and _introduced(name, record)]
    for number, scenario, name in _steps(plan, able):
        late = time.monotonic() > end
        if scenario == "floor":
            if not late:
                _measure_floor(plan, name, record)
        else:
            tries = record.rounds.setdefault(scenario, {}).setdefault(name, [])
            if late and tries:
                continue
            found = _hopeless(scenario, name, record, late=late) or measure(name, scenario, plan)
            tries.append(found)
            print(f"{number} {scenario:12} {name:14} {_brief(found)}", flush=True)
        _write(plan, record)
    report.write(plan.out, record.as_json())
    print(f"written: {plan.out}/results.md")


def _steps(plan: Plan, able: list[str]) -> Iterator[tuple[int, str, str]]:
    """Round, scenario, queue: the queues take turns within a scenario."""
    for number in range(plan.rounds):
        if "floor" in plan.peers:
            yield from ((number, "floor", name) for name in plan.floors)
        for scenario in plan.scenarios:
            if number and scenario in ONCE:
                continue
            for name in able:
                if _belongs(scenario, name):
                    yield number, scenario, name


def _belongs(scenario: str, name: str) -> bool:
    if name == "gigq_full":
        return scenario in FULL_TOO
    if name == "raw_postgres":
        return scenario in FOR_FLOOR
    if peers.peer(name).server == "postgres" and scenario in scenarios.ON_POSTGRES:
        return True
    return name in report.OURS or scenario not in (*ONLY_OURS, *ONLY_ON_SERVER)


def _hopeless(scenario: str, name: str, record: Record, *, late: bool) -> Found | None:
    """Why a measurement is not even tried; None when it is."""
    if late:
        return {"stopped": "the time of the run was up"}
    shallower = record.rounds.get("depth_100k", {}).get(name, [])
    if scenario == "depth_1m" and any("jobs/s" not in found for found in shallower):
        return {"stopped": "not tried: see 100,000"}
    return None


def _introduced(name: str, record: Record) -> bool:
    """Note what is said of a queue; whether it can be installed."""
    peer = peers.peer(name)
    said = {"title": peer.title, "durable": peer.durable, "settings": peer.settings}
    record.peers[name] = {**said, "requires": list(peer.requires), "server": peer.server}
    try:
        venvs.python_of(peer)
    except venvs.CannotBeMeasured as error:
        record.peers[name]["missing"] = str(error)
        print(f"{name}: {error}", flush=True)
        return False
    return True


def measure(name: str, scenario: str, plan: Plan) -> Found:
    """One scenario of one queue; what went wrong is a result, too."""
    try:
        with session(peers.peer(name), plan.where) as current:
            return SCENARIOS[scenario](current, plan.effort)
    except Exception as error:  # noqa: BLE001 - it stands in the table with its reason
        return {"stopped": f"{type(error).__name__}: {error}"[:300]}


def _measure_floor(plan: Plan, name: str, record: Record) -> None:
    rate = floors.measure(name, plan.effort.seconds / 2, plan.where)
    record.floors.setdefault(name, []).append(rate)
    print(f"  floor        {name:40} {rate:12,.0f}/s", flush=True)


def _brief(found: Found) -> str:
    return "  ".join(
        f"{name} {value:,.4g}" if isinstance(value, float | int) else f"{name}: {value}"
        for name, value in found.items()
    )


def _write(plan: Plan, record: Record) -> None:
    (plan.out / "results.json").write_text(json.dumps(record.as_json(), indent=1) + "\n")
    (plan.out / "results.md").write_text(report.page(record.as_json()))
