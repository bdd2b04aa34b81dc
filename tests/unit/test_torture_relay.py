"""The relay of the torture run of several hosts: it stalls, half cuts, and goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from support.free_port import free_port
from support.tree import ROOT
from support.waiting import wait_until

SHORT = 0.3


class Echo:
    """A server that sends back what it gets.

    Attributes:
        path: its socket.
        got: all that it has got.
        ends: how many connections have ended.
    """

    def __init__(self, path):
        self.path = path
        self.got = b""
        self.ends = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                one = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one):
        with one, suppress(OSError):
            while data := one.recv(100):
                self.got += data
                one.sendall(data)
        self.ends += 1

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Relay:
    """The relay, and a connection through it."""

    def __init__(self, target):
        self._place = {"port": free_port(), "target": target}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.hosts.relay", "127.0.0.1"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
            stdin=subprocess.PIPE,
        )
        self.change()
        wait_until(self._connects)

    def change(self, delay=0.0, stalled=(), held=None):
        order = {**self._place, "delay": delay, "stalled": stalled, "held": held}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _connects(self):
        with suppress(OSError):
            place = ("127.0.0.1", self._place["port"])
            self.client = socket.create_connection(place, timeout=30)
            return True
        return False

    def close(self):
        self.client.close()
        self._process.stdin.close()
        assert self._process.wait(30) == 0


@pytest.fixture
def server(tmp_path):
    made = Echo(str(tmp_path / "echo"))
    yield made
    made.close()


@pytest.fixture
def relay(server):
    made = Relay(server.path)
    yield made
    made.close()


def answers(relay, data):
    relay.client.sendall(data)
    return relay.client.recv(100)


def is_silent(relay):
    relay.client.settimeout(SHORT)
    try:
        return relay.client.recv(100) and False
    except TimeoutError:
        return True
    finally:
        relay.client.settimeout(30)


def test_what_one_end_sends_reaches_the_other_one(relay):
    assert answers(relay, b"hello") == b"hello"


def test_nothing_reaches_the_server_while_the_way_to_it_stalls(relay, server):
    assert answers(relay, b"1") == b"1"
    relay.change(stalled=["out"])
    relay.client.sendall(b"2")

    assert is_silent(relay)
    assert server.got == b"1"
    relay.change()
    assert relay.client.recv(100) == b"2"


def test_what_the_server_does_stays_unknown_while_the_way_back_stalls(relay, server):
    relay.change(stalled=["in"])
    relay.client.sendall(b"1")

    wait_until(lambda: server.got == b"1")
    assert is_silent(relay)
    relay.change()
    assert relay.client.recv(100) == b"1"


@pytest.mark.parametrize("held", ["client", "server"])
def test_half_of_a_connection_stays_open_without_data_until_it_is_released(relay, server, held):
    assert answers(relay, b"1") == b"1"
    relay.change(held=held)

    if held == "client":
        wait_until(lambda: server.ends == 1)
        relay.client.sendall(b"2")
        assert is_silent(relay)
    else:
        assert relay.client.recv(100) == b""
        assert server.ends == 0
    relay.change()
    wait_until(lambda: server.ends == 1)
    assert server.got == b"1"
