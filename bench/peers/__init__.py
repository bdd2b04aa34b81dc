"""The queues that are measured: one module each, and the table of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.protocol import Peer

NAMES = (
    "gigq",
    "gigq_full",
    "gigq051",
    "huey",
    "litequeue",
    "persistqueue",
    "rq",
    "dramatiq",
    "celery",
    "procrastinate",
    "pgqueuer",
)
"""The queues of a run that names none."""

ON_POSTGRES = ("gigq_postgres", "pgqueuer", "procrastinate", "oban", "dbos", "raw_postgres")
"""The queues of a run on PostgreSQL."""

ALL = tuple(dict.fromkeys((*NAMES, *ON_POSTGRES)))


def peer(name: str) -> Peer:
    """What is known of a queue, from its module."""
    found: Peer = importlib.import_module(f"bench.peers.{name}").PEER
    return found
