"""Silent connections to the control socket, from jobs and from elsewhere, shut no operator out."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support import silent_connections
from support.files import open_up
from support.forked import in_a_child, unshare
from support.waiting import wait_until

from gigqd.ipc import control_clients
from gigqd.ipc.control_clients import Clients
from gigqd.ipc.control_socket import existing

pytestmark = pytest.mark.daemon

CLONE_NEWNS = 0x00020000
OTHER_UID = 4711

COMMANDS = ["status", "pause", "resume", "reload", "stop --now"]


@contextmanager
def crowd_from_elsewhere(path, processes, connections):
    """Processes that are no jobs, each with silent connections."""
    command = [sys.executable, "-m", "support.silent_connections", str(path), str(connections)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    crowd = [subprocess.Popen(command, cwd="tests", **pipes) for _ in range(processes)]
    try:
        for process in crowd:
            process.stdout.readline()
        yield
    finally:
        for process in crowd:
            process.communicate()


def connect(client, daemon):
    with existing(daemon.runtime_files.socket_path) as name:
        client.connect(name)


def answers(daemon):
    return {command: daemon.command(*command.split()).returncode for command in COMMANDS}


@pytest.mark.fault("S7")
@pytest.mark.parametrize(("processes", "connections"), [(1, 200), (12, 12)])
def test_jobs_with_silent_connections_shut_no_operator_out(daemons, processes, connections):
    daemon = daemons({"pools.default.size": 1, "daemon.stop_timeout": "1s"})
    params = {
        "path": str(daemon.runtime_files.socket_path),
        "processes": processes,
        "connections": connections,
    }
    daemon.submit(silent_connections.hold, "crowd", params, max_attempts=1)
    wait_until((daemon.home / "ledger.crowd").exists)

    assert answers(daemon) == dict.fromkeys(COMMANDS, 0)
    daemon.wait_for_exit()


@pytest.mark.fault("S7")
def test_other_processes_with_silent_connections_shut_no_operator_out(daemons):
    daemon = daemons({"pools.default.size": 1})

    with crowd_from_elsewhere(daemon.runtime_files.socket_path, 12, 12):
        assert answers(daemon) == dict.fromkeys(COMMANDS, 0)
    daemon.wait_for_exit()


@pytest.mark.fault("S7")
def test_a_silent_connection_is_closed(daemons):
    daemon = daemons({"pools.default.size": 1})
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as half:
        for each in (silent, half):
            connect(each, daemon)
            each.settimeout(60)
        half.sendall(b'{"command": "sta')

        assert silent.recv(1) == half.recv(1) == b""
    assert daemon.status()["state"] == "running"


@pytest.mark.fault("S7")
@pytest.mark.parametrize("pieces", [1, 1000], ids=["at once", "one by one"])
def test_a_connection_that_asks_without_end_and_reads_nothing_is_closed(daemons, pieces):
    daemon = daemons({"pools.default.size": 1})
    request = b'{"command": "status"}\n'
    with socket.socket(socket.AF_UNIX) as flood:
        connect(flood, daemon)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_without_end(flood, request * (1000 // pieces))
    assert daemon.status()["state"] == "running"


def send_without_end(connection, data):
    while True:
        connection.sendall(data)


@pytest.fixture
def connections():
    """Connections as the daemon holds them."""
    pairs = [socket.socketpair() for _ in range(10)]
    yield [ours for ours, _ in pairs]
    for pair in pairs:
        for each in pair:
            each.close()


def test_a_connection_that_waits_for_an_answer_is_not_silent(connections, monkeypatch):
    monkeypatch.setattr(control_clients, "SILENT_FOR", 0.0)
    clients = Clients()
    client, _ = clients.admit(connections[0], 0)

    before = clients.silent_for_too_long()
    client.await_answer()
    waiting = clients.silent_for_too_long()
    client.answer({"ok": True})

    assert (before, waiting, clients.silent_for_too_long()) == ([client], [], [client])


def test_the_longest_silent_connection_makes_way_and_none_that_waits(connections, monkeypatch):
    monkeypatch.setattr(control_clients, "_MOST", 2)
    clients = Clients()
    first, _ = clients.admit(connections[0], 0)
    second, _ = clients.admit(connections[1], 0)
    first.await_answer()

    third, leaving = clients.admit(connections[2], 0)
    clients.discard(leaving)
    third.await_answer()

    assert leaving is second
    assert clients.admit(connections[3], 0) == (None, None)


def test_one_process_has_a_few_connections(connections):
    clients = Clients()
    admitted = [clients.admit(each, 0)[0] for each in connections]

    assert [client is None for client in admitted] == [False] * 8 + [True] * 2


@pytest.mark.fault("S7")
def test_all_jobs_together_have_a_few_connections_and_one_that_has_ended_counts(connections):
    clients = Clients()
    ended = subprocess.Popen(["true"])
    ended.wait()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as job:
        pids = [job.pid, ended.pid] * 5
        admitted = [
            clients.admit(each, pid)[0] for each, pid in zip(connections, pids, strict=True)
        ]

    assert [client is None for client in admitted] == [False] * 8 + [True] * 2


@pytest.mark.root
def test_an_ordinary_account_gives_no_commands_to_a_daemon_of_root(daemons):
    if os.geteuid() != 0:
        pytest.skip("only root can be another account")
    daemon = daemons()
    open_up(daemon.home)
    daemon.runtime_files.directory.chmod(0o755)
    own_mode = daemon.runtime_files.socket_path.stat().st_mode & 0o777
    daemon.runtime_files.socket_path.chmod(0o666)

    def answer_to_another_account():
        os.setgroups([])
        os.setgid(OTHER_UID)
        os.setuid(OTHER_UID)
        with socket.socket(socket.AF_UNIX) as control:
            connect(control, daemon)
            try:
                control.sendall(b'{"command": "status"}\n')
                return control.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    assert own_mode == 0o600
    assert in_a_child(answer_to_another_account) == "b''"
    assert daemon.wait_for_event("control_refused")["uid"] == OTHER_UID


@pytest.mark.fault("S7")
@pytest.mark.parametrize("hidden", ["noaccess", "invisible"])
def test_a_process_that_proc_hides_is_no_job(hidden):
    if os.geteuid() != 0:
        pytest.skip("only root may mount and be another account")

    def peers_of_an_ordinary_account():
        roots = os.getppid()
        unshare(CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        mount = ["mount", "-t", "proc", "-o", f"hidepid={hidden}", "proc", "/proc"]
        subprocess.run(mount, check=True)
        os.setgroups([])
        os.setresgid(OTHER_UID, OTHER_UID, OTHER_UID)
        os.setresuid(OTHER_UID, OTHER_UID, OTHER_UID)
        return [control_clients._is_below_this_process(pid) for pid in (roots, os.getpid())]

    assert in_a_child(peers_of_an_ordinary_account) == "[False, True]"
