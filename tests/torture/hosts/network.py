"""The network between the hosts and the server, in a namespace of its own, and what breaks it.

A hub has a bridge to which everything is linked. Each host reaches the server through ports of
the relay in the hub: 10.77.0.254:6001 for the host 10.77.0.1, and 7001 past a pooler.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from torture.database import ENVIRONMENT
from torture.hosts.namespaces import Namespaces

if TYPE_CHECKING:
    from pathlib import Path

HUB = "10.77.0.254"
NETWORK = "10.77.0.0/24"
PORTS, DIRECT_PORTS = 6000, 7000

_LOSSY = "4,32 0 0 4294963256,53 1 0 {below},6 0 0 2,6 0 0 0"
"""A classic BPF program, for kernels without netem: load SKF_AD_RANDOM, a random number of 32 bits
(<linux/filter.h>), and return TC_ACT_SHOT, which drops the packet, if it is below a limit."""

_RANDOM_NUMBERS = 1 << 32
_DIRECTIONS = {"out": "ingress", "in": "egress"}
"""What a host sends comes in at the hub's end of its link."""


class Hub:
    """The middle of the network.

    Args:
        log: a file for what the relay has to say.

    Attributes:
        ip: runs `ip` in the hub.
        run: runs another command in there.
    """

    def __init__(self, log: Path) -> None:
        self.namespaces = Namespaces("hub")
        self.ip = self.namespaces.ip
        self.run = self.namespaces.run
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("addr", "add", f"{HUB}/24", "dev", "br0")
        self.ip("link", "set", "br0", "up")
        with log.open("ab") as output:
            self._relay = self.namespaces.popen(
                [sys.executable, "-m", "torture.hosts.relay", HUB],
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stderr=output,
            )

    def send(self, port: int, **what: Any) -> None:
        """Send the relay the state of a port, which it opens when it does not know it."""
        self._relay.stdin.write(json.dumps({"port": port, **what}).encode() + b"\n")
        self._relay.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._relay.kill()
        self._relay.communicate()
        self.namespaces.close()


class Link:
    """What connects a host with the hub.

    Args:
        hub: the hub.
        host: the host.
        number: the last part of the host's address.

    Attributes:
        address: the host's address.
        lost: how many packets were dropped by `lose`.
    """

    def __init__(self, hub: Hub, host: Namespaces, number: int) -> None:
        self.address = f"10.77.0.{number}"
        self.lost = 0
        self._number = number
        self._targets: dict[int, str] = {}
        self._hub = hub
        self._host = host
        self._ip = host.ip
        self._device = f"to-{host.name}"
        self._relaying: dict[str, Any] = {"delay": 0.0, "stalled": [], "held": None}
        self.connect()

    def connect(self) -> None:
        """Lay the link, to a host that has none."""
        peer = ("peer", "name", "eth0", "netns", str(self._host.pid))
        self._hub.ip("link", "add", self._device, "type", "veth", *peer)
        self._hub.ip("link", "set", self._device, "master", "br0", "up")
        self._ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self._ip("link", "set", "eth0", "up")

    def disconnect(self) -> None:
        """Take the link away: what the host sends from now on, such as the ends of its connections
        when it dies, reaches nothing.
        """
        self._hub.ip("link", "delete", self._device)

    def set_up(self, *, up: bool, far: bool) -> None:
        """Set the link up or down, at the hub's end or at the host's."""
        change = self._hub.ip if far else self._ip
        change("link", "set", self._device if far else "eth0", "up" if up else "down")

    def drop(self, change: str, ways: tuple[str, ...]) -> None:
        """`add` or `delete` routes into a black hole, for what the host sends (out) or gets."""
        if "out" in ways:
            self._ip("route", change, "blackhole", f"{HUB}/32")
        if "in" in ways:
            self._hub.ip("route", change, "blackhole", f"{self.address}/32")

    def lose(self, share: float, ways: tuple[str, ...]) -> None:
        """Drop a share of the packets, at random, of those that the host sends (out) or gets."""
        self._hub.run("tc", "qdisc", "add", "dev", self._device, "clsact")
        program = _LOSSY.format(below=int(share * _RANDOM_NUMBERS))
        for way in ways:
            at = ("dev", self._device, _DIRECTIONS[way])
            self._hub.run("tc", "filter", "add", *at, "bpf", "da", "bytecode", program)

    def lose_nothing(self) -> None:
        """Let all packets pass again, and count those that were dropped."""
        shown = self._hub.run("tc", "-s", "qdisc", "show", "dev", self._device, "clsact")
        self.lost += sum(map(int, re.findall(r"dropped (\d+)", shown)))
        self._hub.run("tc", "qdisc", "delete", "dev", self._device, "clsact")

    def relay(self, **changes: Any) -> None:
        """Change what the relay does on this host's port: delay, stalled, or held."""
        self._relaying |= changes
        for port, target in self._targets.items():
            self._hub.send(port, target=target, **self._relaying)

    def open(self, ports: int, target: str) -> str:
        """Open the host's port among some of the relay; where it is for the host."""
        port = ports + self._number
        self._targets[port] = target
        self.relay()
        return f"{HUB}:{port}"
