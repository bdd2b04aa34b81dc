"""Detaching: the launcher reports the result, and the daemon begins in a clean place."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.configs import write_config
from support.files import names_in, open_up
from support.other_user import SEARCH_PATH, interpreter_for
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.config import load
from gigqd.errors import GigqdError
from gigqd.host.daemonize import start_detached
from gigqd.host.runtime_files import RuntimeFiles
from gigqd.linux import syscalls

pytestmark = pytest.mark.daemon

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture
def path(tmp_path):
    return write_config(tmp_path)


@pytest.fixture
def runtime_files(path):
    runtime_files = RuntimeFiles(load(path, {}))
    yield runtime_files
    if (running := runtime_files.running()) and running.pid:
        os.kill(running.pid, signal.SIGKILL)
        wait_until(lambda: runtime_files.running() is None)


def command(path, how, wait=10, interpreter=sys.executable):
    return [interpreter, "-m", "support.detached", str(path), how, str(wait)]


def launch(path, how, wait=10, interpreter=sys.executable, **options):
    options = {"capture_output": True, "text": True, **options}
    environment = {**os.environ, "PYTHONPATH": SEARCH_PATH}
    line = command(path, how, wait, interpreter)
    done = subprocess.run(line, env=environment, timeout=30, **options)
    return json.loads(done.stdout) if done.stdout else done


def facts_of(runtime_files):
    return json.loads((runtime_files.directory / "facts").read_text())


def test_the_launcher_returns_when_the_daemon_is_ready(path, runtime_files):
    answer = launch(path, "ready")

    assert answer == {"code": 0, "pid": runtime_files.running().pid, "text": ""}


@pytest.mark.fault("A14")
def test_the_daemon_is_detached_and_clean(path, runtime_files, tmp_path):
    answer = launch(path, "ready")

    facts = facts_of(runtime_files)
    assert facts["session"] not in (answer["pid"], os.getsid(0))
    assert facts["cwd"] == str(tmp_path)
    assert facts["umask"] == 0o27
    assert set(facts["ignored"]) <= {"SIGPIPE", "SIGXFSZ"}
    links = facts["fds"]
    assert links.pop("0") == "/dev/null"
    assert links.pop("1") == links.pop("2") == str(runtime_files.log_path)
    left = sorted(links.values())
    assert [link for link in left if not link.startswith(("pipe:", "/proc/"))] == [
        str(runtime_files.lock_path)
    ]
    assert sum(link.startswith("pipe:") for link in left) == 1


@pytest.mark.fault("A15")
@pytest.mark.parametrize(
    ("how", "code", "cause"),
    [
        ("fails", 78, "no worker could start: No module named 'shop'"),
        ("breaks", exit_codes.INTERNAL_ERROR, "internal error: ZeroDivisionError: a defect"),
        ("dies", exit_codes.INTERNAL_ERROR, "the body writes this to its log"),
        ("stops early", exit_codes.INTERNAL_ERROR, "it was stopped before it was ready"),
    ],
)
def test_a_daemon_that_is_never_ready_is_reported_with_its_cause(
    path, runtime_files, how, code, cause
):
    answer = launch(path, how)

    assert answer["code"] == code
    assert cause in answer["text"]
    assert runtime_files.running() is None


def test_a_daemon_that_fails_leaves_nothing_but_lock_and_log(path, runtime_files):
    launch(path, "fails")

    assert names_in(runtime_files.directory) == ["gigqd.lock", "gigqd.log"]


@pytest.mark.fault("A15")
@pytest.mark.parametrize(
    ("how", "code", "cause"),
    [
        ("breaks", exit_codes.INTERNAL_ERROR, "internal error: ZeroDivisionError: a defect"),
        ("dies", exit_codes.INTERNAL_ERROR, "the daemon died before it was ready (SIGKILL)"),
        ("dies without a name", exit_codes.INTERNAL_ERROR, f"(signal {signal.SIGRTMIN + 1})"),
        ("missing", exit_codes.BAD_CONFIG, "cannot enter daemon.working_directory /no/such/folder"),
    ],
)
def test_a_start_that_fails_leaves_its_cause_in_the_log_too(path, runtime_files, how, code, cause):
    answer = launch(path, how)
    last = json.loads(runtime_files.log_path.read_text().splitlines()[-1])

    assert (answer["code"], cause in answer["text"]) == (code, True)
    assert (last["event"], last["exit_code"]) == ("start_failed", code)
    assert cause in last["error"]


def test_a_defect_leaves_its_traceback_in_the_log(path, runtime_files):
    launch(path, "breaks")

    assert "ZeroDivisionError: a defect" in runtime_files.log_path.read_text()
    assert "Traceback" in runtime_files.log_path.read_text()


@pytest.mark.fault("A16")
def test_a_daemon_that_takes_longer_than_the_wait_goes_on_starting(path, runtime_files):
    answer = launch(path, "late", wait=0.3)

    assert answer["code"] == exit_codes.FAILED
    assert "still starting after 0.3 s" in answer["text"]
    assert runtime_files.running()
    (runtime_files.directory / "go on").touch()
    wait_until((runtime_files.directory / "facts").exists)
    assert facts_of(runtime_files)["pid"] == runtime_files.running().pid


@pytest.mark.fault("A17")
def test_a_launcher_that_is_killed_does_not_take_the_daemon_along(path, runtime_files):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command(path, "late"), env=environment) as launcher:
        wait_until(lambda: (running := runtime_files.running()) and running.pid != launcher.pid)
        wait_until(runtime_files.pid_path.exists)
        launcher.kill()

    (runtime_files.directory / "go on").touch()
    wait_until((runtime_files.directory / "facts").exists)
    assert facts_of(runtime_files)["pid"] == runtime_files.running().pid


@pytest.mark.fault("A14")
def test_closed_standard_streams_do_not_hinder_a_start(path, runtime_files):
    def close_all():
        for fd in (0, 1, 2):
            os.close(fd)

    done = launch(path, "ready", capture_output=False, preexec_fn=close_all)

    assert done.returncode == 0
    assert facts_of(runtime_files)["fds"]["2"] == str(runtime_files.log_path)


@pytest.mark.fault("A14")
def test_a_socket_as_standard_input_does_not_keep_it_from_detaching(path, runtime_files):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answer = launch(path, "ready", stdin=theirs)

    assert facts_of(runtime_files)["fds"]["0"] == "/dev/null"
    assert psutil.Process(answer["pid"]).ppid() != os.getpid()


def test_a_second_start_leaves_the_first_alone(path, runtime_files):
    first = launch(path, "ready")
    before = runtime_files.pid_path.read_text()

    second = launch(path, "ready", check=False)

    assert second.returncode == 1
    assert "AlreadyRunning" in second.stderr
    assert runtime_files.running().pid == first["pid"]
    assert runtime_files.pid_path.read_text() == before


def test_a_log_that_cannot_be_made_is_named(tmp_path):
    path = write_config(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "gigqd.log").symlink_to(tmp_path / "missing" / "gigqd.log")

    done = launch(path, "ready", check=False)

    assert f"cannot create log {tmp_path}/run/gigqd.log: it is a symbolic link" in done.stderr
    assert names_in(tmp_path / "run") == ["gigqd.lock", "gigqd.log"]


def test_a_process_that_cannot_be_forked_is_named(runtime_files, path, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(syscalls, "become_subreaper", lambda: True)

    with pytest.raises(GigqdError, match="cannot fork: Resource temporarily") as caught:
        start_detached(load(path, {}), runtime_files, lambda _readiness: 0, 5.0, print)

    assert caught.value.exit_code == exit_codes.CANNOT_FORK
    assert "cannot fork: Resource temporarily" in runtime_files.log_path.read_text()
    assert runtime_files.running() is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
def test_started_by_root_the_daemon_becomes_another_user_for_good(tmp_path):
    open_up(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    path = home / "gigq.toml"
    path.write_text(
        '[daemon]\nruntime_dir = "run"\nuser = "nobody"\n[queue]\ndatabase = "db/jobs.db"\n'
    )
    runtime_files = RuntimeFiles(load(path, {}))

    answer = launch(path, "ready", interpreter=interpreter_for("nobody"))

    assert answer["code"] == 0, answer
    try:
        uid, gid = (
            psutil.Process(answer["pid"]).uids().real,
            psutil.Process(answer["pid"]).gids().real,
        )
        assert facts_of(runtime_files)["ids"] == [[uid] * 3, [gid] * 3, [gid]]
        assert (uid, gid) == (65534, 65534)
        assert {(home / name).stat().st_uid for name in ("run", "db", "run/gigqd.log")} == {uid}
    finally:
        os.kill(answer["pid"], signal.SIGKILL)
        wait_until(lambda: runtime_files.running() is None)
