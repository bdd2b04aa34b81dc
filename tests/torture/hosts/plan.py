"""What is done to hosts, to the network between them, and to the server."""

from __future__ import annotations

HOST_DECK = {
    ("cut", "network"): 4,
    ("blackhole", "network"): 6,
    ("stall", "network"): 4,
    ("delay", "network"): 2,
    ("half-open", "network"): 3,
    ("lose", "network"): 5,
    ("freeze", "host"): 5,
    ("die", "host"): 3,
    ("kill", "supervisor"): 3,
    ("kill", "recorder"): 3,
    ("freeze", "recorder"): 4,
    ("kill", "worker"): 4,
    ("freeze", "worker"): 2,
    ("bounce", "daemon"): 2,
    ("reload", "daemon"): 1,
}
"""How often each fault is in the deck of one host. It is shuffled again when it is empty."""

ODD_CLOCK_DECK = HOST_DECK | {("jump", "host"): 4}
"""The same for a host whose clock is set wrong."""

SHARED_DECK = {
    ("restart", "server"): 3,
    ("outage", "server"): 1,
    ("halt", "server"): 2,
    ("terminate", "server"): 3,
    ("lock-rows", "server"): 1,
    ("kill", "submitter"): 3,
}
"""The same for what the hosts share."""

HOST_PACE, SHARED_PACE = 7.0, 12.0
"""Seconds between two faults, on average."""

SPANS = {
    ("cut", "network"): (0.5, 12.0),
    ("blackhole", "network"): (0.5, 12.0),
    ("stall", "network"): (0.5, 12.0),
    ("delay", "network"): (2.0, 10.0),
    ("half-open", "network"): (1.0, 10.0),
    ("lose", "network"): (2.0, 15.0),
    ("freeze", "host"): (0.5, 14.0),
    ("die", "host"): (0.5, 14.0),
    ("jump", "host"): (1.0, 10.0),
    ("freeze", "recorder"): (0.5, 12.0),
    ("kill", "supervisor"): (0.1, 10.0),
}
"""How long they last: some end before the lease does, and some long after it."""
