"""A PostgreSQL server with a streaming standby that can take over."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from support import postgres
from support.postgres import OwnServer, own_server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pair:
    """A server and its standby.

    Attributes:
        primary: the server that takes writes first.
        standby: the server that follows it until it is promoted.
        address: the address of the one of both that takes writes.
    """

    def __init__(self, primary: OwnServer, standby: OwnServer) -> None:
        self.primary = primary
        self.standby = standby
        hosts = f"{primary.folder},{standby.folder}"
        self.address = (
            f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"
        )

    def fall_behind(self) -> None:
        """Have the standby receive no further commits."""
        self.standby.run("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.run("SELECT pg_reload_conf()")
        receivers = "SELECT 1 FROM pg_stat_wal_receiver"
        wait_until(lambda: not self.standby.run(receivers), why="the standby stops to follow")

    def fail_over(self) -> None:
        """Kill the primary, as a host that dies does, and promote the standby."""
        self.primary.stop("immediate")
        self.standby.promote()


@contextmanager
def with_standby(*, synchronous: bool) -> Iterator[Pair]:
    """A server whose commits wait for its standby where it is synchronous.

    Args:
        synchronous: True when a commit is reported only after the standby has written it.
    """
    with own_server() as primary, postgres.folder_of_server() as folder:
        standby = postgres.standby_in(folder, primary)
        if synchronous:
            primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.run("SELECT pg_reload_conf()")
            wait_until(
                lambda: primary.run("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"),
                why="the standby follows",
            )
        yield Pair(primary, standby)
