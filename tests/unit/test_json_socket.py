"""Messages over a socket: whole, in order, and never waited for."""

import io
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gigqd.ipc import json_socket
from gigqd.ipc.json_socket import LONGEST_LINE, JsonSocket


@pytest.fixture
def ends() -> Iterator[tuple[JsonSocket, socket.socket]]:
    ours, theirs = json_socket.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_arrive_in_order_however_they_are_cut(
    ends: tuple[JsonSocket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.sendall(b'{"a": 1}\n{"b"')
    first = ours.receive()
    theirs.sendall(b": 2}\n")

    assert first == [{"a": 1}]
    assert ours.receive() == [{"b": 2}]


def test_rings_and_garbage_are_no_messages(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b'\n\xff\xfe\n[1]\n"text"\n{"a": 1}\n{broken\n')

    assert ours.receive() == [{"a": 1}]


def test_a_ring_wakes_and_says_nothing(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    other = JsonSocket(theirs.dup())

    other.notify()

    assert ours.receive() == []
    assert not ours.ended
    other.close()


def test_what_does_not_fit_waits_and_is_sent_on(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    other = JsonSocket(theirs.dup())
    big = {"text": "x" * 1_000_000}

    ours.send(big)
    assert ours.has_unsent
    received = other.receive()
    while ours.has_unsent:
        ours.flush()
        received += other.receive()

    assert received == [big]
    other.close()


def test_the_end_of_the_other_side_is_seen(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()

    assert ours.receive() == []
    assert ours.ended
    ours.send({"into": "the void"})
    assert not ours.has_unsent


def test_a_peer_that_never_ends_its_line_is_cut_off(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.setblocking(False)
    sent = 0
    while not ours.ended and sent < 3 * LONGEST_LINE:
        try:
            sent += theirs.send(b"x" * 65536)
        except BlockingIOError:
            ours.receive()
        except OSError:
            break

    assert ours.ended


def socket_that_gives(data: bytes) -> Any:
    """A socket on which all of this has arrived."""
    arrived = io.BytesIO(data)

    def recv(size: int) -> bytes:
        if not (chunk := arrived.read(size)):
            raise BlockingIOError
        return chunk

    return SimpleNamespace(setblocking=id, recv=recv)


def test_many_messages_at_once_are_not_taken_for_a_line_without_an_end() -> None:
    line = b'{"text": "%s"}\n' % (b"x" * 100_000)
    json_socket = JsonSocket(socket_that_gives(line * 100))

    received = [*json_socket.receive(), *json_socket.receive(), *json_socket.receive()]

    assert len(received) == 100
    assert not json_socket.ended


def test_one_call_takes_no_more_than_its_share() -> None:
    line = b'{"text": "%s"}\n' % (b"x" * 100_000)
    json_socket = JsonSocket(socket_that_gives(line * 100))

    assert len(json_socket.receive()) * len(line) <= LONGEST_LINE + len(line)


def test_one_call_takes_few_of_very_many_short_lines() -> None:
    line = b'{"a": 1}\n'
    json_socket = JsonSocket(socket_that_gives(line * 500_000))

    assert 1 <= len(json_socket.receive()) <= 10_000


def test_a_line_nested_too_deeply_is_garbage(ends: tuple[JsonSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"[" * 100_000 + b'\n{"a": 1}\n')

    assert ours.receive() == [{"a": 1}]
