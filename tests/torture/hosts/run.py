"""One run on three hosts, from the first namespace to its result."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict
from support.pgbouncer import pooled
from torture import ledger
from torture.crowd import Crowd
from torture.database import ENVIRONMENT
from torture.hosts.faults import HostFaults
from torture.hosts.host import Host
from torture.hosts.late import UP, Late, as_of_one_host, set_apart
from torture.hosts.namespaces import Namespaces
from torture.hosts.network import DIRECT_PORTS, PORTS, Hub, Link
from torture.hosts.plan import (
    HOST_DECK,
    HOST_PACE,
    ODD_CLOCK_DECK,
    SHARED_DECK,
    SHARED_PACE,
    SPANS,
)
from torture.hosts.server import ADDRESS, NUMBER, PORT, HostedDatabase
from torture.notes import Notes
from torture.plan import plan
from torture.run import Course

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torture.history import History

NAMES = ("a", "b", "c")
_SERVER = f"{ADDRESS}:{PORT}"
_CLOCK_AHEAD = {"c": 600.0}
_SUBMITTERS = 3
_PACE = 2.0
_LENGTHY = 0.2
_SETTINGS = {"queue.lease": "4s", "pools.default.size": 3, "pools.second.size": 1}
_NEVER = float("inf")
_SEEN_WITHIN = 30.0
_RUNS = "SELECT DISTINCT run FROM job_executions WHERE run IS NOT NULL"


class HostsRun(Course):
    """A run of three hosts, each with a daemon, and of a server.

    Args:
        home: an empty directory for all of its files.
        seed: what chance depends on.
        duration: for how many seconds faults are made.
        pooler: whether PgBouncer, in transaction mode, is between the daemons and the server.

    Attributes:
        hosts: the hosts.
        late: what the check has set apart.
    """

    def __init__(self, home: Path, seed: int, duration: float, *, pooler: bool) -> None:
        self.late = Late()
        self.hosts: list[Host] = []
        self._links: list[Link] = []
        self._open = ExitStack()
        notes = Notes(home / "ledger")
        database = HostedDatabase(notes, home, pooled=pooler)
        super().__init__(home, duration, database, notes)
        self._open.callback(database.close)
        hub = Hub(home / "relay.log")
        self._open.callback(hub.close)
        Link(hub, database.namespaces, NUMBER)
        database.start()
        self._pooler = self._open.enter_context(_pooler(hub)) if pooler else None
        self._crowd = Crowd(
            home, database.address, seed, _SUBMITTERS, notes, pace=_PACE, lengthy=_LENGTHY
        )
        self._up: set[str] = set()
        for name in NAMES:
            (home / name).mkdir()
        for number, name in enumerate(NAMES, 1):
            self._add_host(name, number, hub, database, seed)
        shared = plan(f"{seed}/shared", duration, SHARED_DECK, SPANS, SHARED_PACE, _NEVER)
        self._add_plan(self._all_faults[0], shared)

    @property
    def lost_packets(self) -> int:
        """How many packets the links have dropped."""
        return sum(link.lost for link in self._links)

    def close(self) -> None:
        """End all namespaces."""
        self._open.close()

    def _add_host(
        self, name: str, number: int, hub: Hub, database: HostedDatabase, seed: int
    ) -> None:
        # It cannot see the files of the other hosts.
        others = [f"mount -t tmpfs none {self.home / one}" for one in NAMES if one != name]
        namespaces = Namespaces(name, *others)
        self._open.callback(namespaces.close)
        link = Link(hub, namespaces, number)
        settings = {"queue.database": self._address(link), **_SETTINGS}
        host = Host(self.home / name, database, namespaces, settings, _CLOCK_AHEAD.get(name, 0.0))
        notes = self.notes.of(host=name)
        faults = HostFaults(host, link, self._crowd, notes)
        faults.life = self._add_daemon(host, faults, notes)
        self.hosts.append(host)
        self._links.append(link)
        deck = ODD_CLOCK_DECK if host.clock_ahead else HOST_DECK
        planned = plan(f"{seed}/{name}", self.duration, deck, SPANS, HOST_PACE, _NEVER)
        self._add_plan(faults, planned)

    def _address(self, link: Link) -> str:
        """The address of the database for a host."""
        if self._pooler is None:
            return f"postgresql://postgres@{link.open(PORTS, _SERVER)}/postgres"
        through = link.open(PORTS, self._pooler)
        direct = link.open(DIRECT_PORTS, _SERVER)
        return f"postgresql://postgres@{through}/postgres?pooler=true&direct={direct}"

    # --- phases ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        super()._begin()
        self._wait_for_runs()
        self._show_that_they_are_strangers()

    def _wait_for_runs(self) -> None:
        """Each daemon has run a job."""

        def have_run() -> bool:
            self._crowd.tend()
            return len(self._runs()) == len(NAMES)

        self._wait(have_run, _SEEN_WITHIN, "a job of each daemon", 0.2)

    def _show_that_they_are_strangers(self) -> None:
        """Each host takes the run of its own daemon for one of this host, and no other one."""
        runs = self._runs()
        seen = [self._sight(host, runs) for host in self.hosts]
        for host, judged in zip(self.hosts, seen, strict=True):
            known = [run for run, signs in judged.items() if signs == [True, True]]
            strange = [run for run, signs in judged.items() if signs == [False, False]]
            if (len(known), len(strange)) != (1, len(NAMES) - 1):
                self.notes.wrong("sight", f"host {host.name} says {judged}")
        self.notes.did("look at the runs of other hosts", seen=seen)

    def _sight(self, host: Host, runs: list[str]) -> dict[str, list[bool]]:
        process = host.namespaces.popen(
            [sys.executable, "-m", "torture.hosts.sight", str(host.place), *runs],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )
        output, _ = process.communicate()
        found: dict[str, list[bool]] = json.loads(output)
        return found

    def _runs(self) -> list[str]:
        with psycopg.connect(self.database.address) as connection:
            return [str(run) for (run,) in connection.execute(_RUNS)]

    def _tend(self, *, go_on: bool) -> None:
        super()._tend(go_on=go_on)
        for host, life in zip(self.hosts, self._lives, strict=True):
            if life.state == "up" and host.name not in self._up:
                self._up.add(host.name)
                ledger.note(self.notes.ledger, UP, host=host.name)
            elif life.state != "up":
                self._up.discard(host.name)

    def _checked(self, history: History) -> History:
        kept, self.late = set_apart(as_of_one_host(history))
        return kept


@contextmanager
def _pooler(hub: Hub) -> Iterator[str]:
    """Run a pooler in the hub; its socket."""
    server = f"postgresql://postgres@{_SERVER}/postgres"
    with pooled("transaction", server=server, popen=hub.namespaces.popen) as address:
        given = conninfo_to_dict(address)
        yield f"{given['host']}/.s.PGSQL.{given['port']}"
