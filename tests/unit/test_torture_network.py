"""The hosts of the torture run: packets are lost, a host dies at once, and a clock jumps."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.faketime import FakeClock, needs_faketime
from support.waiting import wait_until
from torture.hosts.namespaces import Namespaces, are_possible
from torture.hosts.network import HUB, Hub, Link

pytestmark = pytest.mark.root
needs_namespaces = pytest.mark.skipif(
    not are_possible(), reason="this account may not make namespaces with a network here"
)

COUNT = 200
ECHO = f"""
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("{HUB}", 5000))
print(flush=True)
while True:
    data, sender = server.recvfrom(100)
    server.sendto(data, sender)
"""
SEND = f"""
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("{HUB}", 5000))
client.settimeout(2)
got = 0
for number in range({COUNT}):
    client.send(b"x")
try:
    while got < {COUNT}:
        got += len(client.recv(100))
except TimeoutError:
    pass
print(got)
"""
LISTEN = f"""
import socket
server = socket.create_server(("{HUB}", 5001))
print(flush=True)
connection, _ = server.accept()
connection.sendall(b"x")
print(flush=True)
connection.settimeout(1)
try:
    print(repr(connection.recv(1)), flush=True)
except TimeoutError:
    print("silence", flush=True)
"""
CONNECT = f"""
import socket, time
client = socket.create_connection(("{HUB}", 5001))
client.recv(1)
time.sleep(600)
"""
TIMES = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.fixture
def hub(tmp_path):
    made = Hub(tmp_path / "relay.log")
    yield made
    made.close()


@pytest.fixture
def host():
    made = Namespaces("host")
    yield made
    made.close()


@pytest.fixture
def link(hub, host):
    return Link(hub, host, 1)


def run(place, code):
    """Start Python code in a place."""
    return place.popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def answered(host):
    """How many of the packets are answered."""
    return int(run(host, SEND).communicate()[0])


@needs_namespaces
@pytest.mark.parametrize("ways", [("out",), ("in",), ("out", "in")])
def test_a_share_of_the_packets_is_lost_on_the_ways_that_are_named(hub, host, link, ways):
    echo = run(hub.namespaces, ECHO)
    assert echo.stdout.readline() == "\n"
    before = answered(host)
    link.lose(0.3, ways)
    during = answered(host)
    link.lose_nothing()
    after = answered(host)
    echo.kill()
    echo.communicate()

    assert before == after == COUNT
    passing = COUNT * 0.7 ** len(ways)
    assert passing * 0.5 < during < passing * 1.4
    assert 0 < COUNT - during <= link.lost


@needs_namespaces
def test_a_host_that_dies_ends_no_connection_and_comes_back_with_other_namespaces(hub, host, link):
    listener = run(hub.namespaces, LISTEN)
    assert listener.stdout.readline() == "\n"
    client = run(host, CONNECT)
    assert listener.stdout.readline() == "\n"
    link.disconnect()
    host.close()
    code = client.wait(30)
    client.stdout.close()
    heard, _ = listener.communicate()
    host.start()
    link.connect()
    echo = run(hub.namespaces, ECHO)
    assert echo.stdout.readline() == "\n"

    assert (code, heard) == (-9, "silence\n")
    assert len({*host.ids}) == 2
    wait_until(lambda: answered(host) == COUNT)
    echo.kill()
    echo.communicate()


@needs_faketime
def test_a_clock_jumps_under_a_process_and_its_monotonic_clock_does_not(tmp_path):
    clock = FakeClock(tmp_path)
    clock.put(600)
    process = subprocess.Popen(
        [sys.executable, "-c", TIMES],
        env=clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def times():
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()]

    ahead = times()
    clock.put(-600)
    behind = times()
    process.communicate()

    assert -1201 < behind[0] - ahead[0] < -1100
    assert 0 <= behind[1] - ahead[1] < 60
