"""Starting and being found: races for the lock, files that go missing, places that do not do."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from support.configs import write_config
from support.forked import in_a_child
from support.waiting import wait_until

from gigqd import cli, exit_codes
from gigqd.cli import run
from gigqd.config import load
from gigqd.host.runtime_files import CannotCreate, RuntimeFiles

pytestmark = pytest.mark.daemon

BROKEN = {
    "syntax": "[daemon",
    "no value": "[daemon]\nname =",
    "no key": "[daemon]\n= 1",
    "two keys on a line": '[daemon]\nname = "a" umask = "1"',
    "open text": '[daemon]\nname = "a',
    "open list": '[code]\nimports = ["a"',
    "open table": "[pools.default\nsize = 1",
    "tabs in a name": '["da\temon"]',
    "a nul": '[daemon]\nname = "a\x00"',
    "a bare word": "[daemon]\nname = default",
    "a number with letters": "[pools.default]\nsize = 4x",
    "twice the same key": "[pools.default]\nsize = 1\nsize = 2",
    "twice the same table": "[log]\n[log]",
    "a table and a value": "daemon = 1\n[daemon]",
    "an unknown table": "[deamon]\nname = 'a'",
    "an unknown key": "[daemon]\nnmae = 'a'",
    "a key at the top": "size = 4",
    "text for a number": "[pools.default]\nsize = 'four'",
    "a number for text": "[daemon]\nname = 4",
    "a table for a number": "[pools.default.size]\nx = 1",
    "a list for text": "[daemon]\nname = ['a']",
    "text for a list": "[code]\nimports = 'shop'",
    "numbers in a list": "[code]\nimports = [1]",
    "a boolean": "[pools.default]\nsize = true",
    "a date": "[pools.default]\nsize = 2026-01-01",
    "negative": "[pools.default]\nsize = -1",
    "a fraction": "[pools.default]\nsize = 1.5",
    "not a number": "[daemon]\nstop_timeout = nan",
    "infinity": "[daemon]\nstop_timeout = inf",
    "huge": "[pools.default]\nsize = 99999999999999999999999999",
    "too long": "[daemon]\nstop_timeout = '900000 days'",
    "no unit": "[daemon]\nstop_timeout = '5 parsecs'",
    "no duration": "[daemon]\nstop_timeout = 'soon'",
    "no level": "[log]\nlevel = 'loud'",
    "no account": "[daemon]\nuser = 'account-of-no-user'",
    "no mask": "[daemon]\numask = '999'",
    "a path as a name": "[daemon]\nname = '../etc'",
    "no module": "[code]\nimports = ['a-b']",
    "an empty list": "[security]\nallow = []",
    "a byte order mark and no TOML": "\ufeff[daemon",
    "Windows line ends and no TOML": '[daemon]\r\nname = "a"\r\n[[[',
    "not UTF-8": b"[daemon]\nname = '\xff\xfe'",
    "50 MB": b"# nothing\n" * 5_000_000 + b"[daemon\n",
}


def gigqd(daemon, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), *arguments],
        env=daemon.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_together_and_stop_together(daemon):
    """Two starts at once, then two stops at once; what they said."""
    starts = [gigqd(daemon, "start") for _ in range(2)]
    started = [start.communicate(timeout=60) for start in starts]
    pid = daemon.status()["pid"]
    noted = daemon.runtime_files.pid_path.read_text().split()[0]
    stops = [gigqd(daemon, "stop") for _ in range(2)]
    stopped = [stop.communicate(timeout=60) for stop in stops]

    assert [process.returncode for process in (*starts, *stops)] == [0] * 4, (started, stopped)
    assert noted == str(pid)
    assert sorted("already" in out for out, _ in started) == [False, True], started
    # A start that loses before the winner has recorded its process can only say that there is one.
    assert all(f"(pid {pid}" in out or "pid unknown" in out for out, _ in started), started
    assert not any(err for _, err in stopped)
    wait_until(lambda: daemon.runtime_files.running() is None)


@pytest.mark.fault("A2", "A4")
@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.soak)])
def test_of_two_starts_one_wins_and_two_stops_are_one(daemons, rounds):
    daemon = daemons(start=False)

    for _ in range(rounds):
        start_together_and_stop_together(daemon)

    assert sorted(path.name for path in daemon.runtime_files.directory.iterdir()) == [
        "gigqd.lock",
        "gigqd.log",
    ]


@pytest.mark.fault("A5")
def test_a_start_with_a_broken_file_leaves_the_running_daemon_and_its_files_alone(daemons):
    daemon = daemons()
    paths = (
        daemon.runtime_files.lock_path,
        daemon.runtime_files.pid_path,
        daemon.runtime_files.socket_path,
    )
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    daemon.configure({"pools.default.size": "many"})

    codes = [daemon.command(command).returncode for command in ("start", "run")]

    assert codes == [exit_codes.BAD_CONFIG] * 2
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths] == before
    assert daemon.status()["state"] == "running"
    daemon.configure({"pools.default.size": 2})


@pytest.mark.fault("A11", "H10")
@pytest.mark.parametrize("gone", [("pid_path",), ("pid_path", "socket_path")])
def test_a_daemon_whose_files_are_gone_is_found_and_kept_from_a_second(daemons, gone):
    daemon = daemons()
    for each in gone:
        getattr(daemon.runtime_files, each).unlink()

    start = daemon.command("start", "--strict")
    status = daemon.command("status")
    wait_until(daemon.runtime_files.socket_path.exists)
    stop = daemon.command("stop")

    assert start.returncode == exit_codes.ALREADY_RUNNING
    assert status.returncode in (0, exit_codes.STATUS_UNKNOWN), status
    assert "running (pid " in status.stdout or "gigqd is running" in status.stdout
    assert stop.returncode == 0, stop
    assert daemon.wait_for_exit() == 0


@pytest.mark.fault("A13")
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("options", ["mode=750,size=64k", "mode=750,ro"])
def test_a_runtime_directory_without_room_is_named_with_the_reason(daemons, tmp_path, options):
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place]).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        full = "ro" not in options and place / "full"
        if full:
            full.write_bytes(b"x" * 32 * 1024)
            fill(full)
        daemon = daemons({"daemon.runtime_dir": str(place)}, start=False)
        done = daemon.command("start")
        left = {path.name for path in place.iterdir()} - {
            "full",
            "gigqd.lock",
            "gigqd.log",
            "gigqd.sock",
        }
    finally:
        subprocess.run(["umount", "-l", place], check=True)

    assert done.returncode == exit_codes.CANNOT_CREATE, done
    assert str(place) in done.stderr
    assert ("No space left" if full else "not writable") in done.stderr, done.stderr
    assert left <= {"full", "gigqd.lock", "gigqd.log"}


def fill(path):
    """Write to a file until its file system is full."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            continue


@pytest.mark.fault("A14")
def test_the_daemon_holds_no_descriptor_that_it_did_not_open(daemons, tmp_path):
    daemon = daemons(start=False)
    with (tmp_path / "of the shell").open("w") as stray:
        os.set_inheritable(stray.fileno(), True)
        command = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "start"]
        subprocess.run(command, env=daemon.environment, close_fds=False, check=True)
    pid = daemon.status()["pid"]

    links = set(descriptors_of(pid))
    daemon.command("stop")

    assert str(tmp_path / "of the shell") not in links


def descriptors_of(pid):
    """What a process has open, but for what it closes at this very moment."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(path.readlink())


@pytest.mark.fault("A15")
def test_a_daemon_that_is_killed_before_it_is_ready_is_reported_at_once(daemons, tmp_path):
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'importing')!r}).touch()\n"
        "time.sleep(600)\n"
    )
    settings = {"code.python_path": [str(tmp_path)], "code.imports": ["slow"]}
    daemon = daemons(settings, start=False)

    with ThreadPoolExecutor() as threads:
        start = threads.submit(daemon.command, "start")
        wait_until((tmp_path / "importing").exists)
        running = daemon.runtime_files.running()
        os.kill(running.pid, signal.SIGKILL)
        done = start.result(timeout=10)

    assert done.returncode == exit_codes.INTERNAL_ERROR
    assert "died before it was ready" in done.stderr


@pytest.mark.fault("A21")
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_check_names_what_is_wrong_in_any_broken_file(tmp_path, capfd, text):
    path = tmp_path / "gigq.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    code = cli.main(["--config", str(path), "check"])
    captured = capfd.readouterr()

    assert code == exit_codes.BAD_CONFIG, captured
    assert str(path) in captured.err + captured.out
    assert "Traceback" not in captured.err + captured.out
    assert len(captured.err + captured.out) < 4000


@pytest.mark.fault("A22")
def test_a_place_without_locks_is_refused_with_advice(tmp_path, monkeypatch):
    def refuse(*_lock):
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / "gigq.toml").write_text(
        '[daemon]\nruntime_dir = "run"\n[queue]\ndatabase = "jobs.db"\n'
    )
    runtime_files = RuntimeFiles(load(tmp_path / "gigq.toml", {}))
    monkeypatch.setattr(fcntl, "lockf", refuse)

    with pytest.raises(CannotCreate, match="No locks available") as caught:
        runtime_files.lock()

    assert str(tmp_path / "run") in str(caught.value)


@pytest.mark.fault("I2")
def test_a_psutil_that_is_too_old_is_refused_with_the_reason(daemons, tmp_path):
    daemon = daemons(start=False)
    old = tmp_path / "old" / "psutil"
    old.mkdir(parents=True)
    (old / "__init__.py").touch()
    (old.parent / "psutil-6.9.9.dist-info").mkdir()
    daemon.environment["PYTHONPATH"] = str(old.parent)

    answers = [daemon.command(command) for command in ("run", "start", "restart")]

    assert {done.returncode for done in answers} == {exit_codes.INTERNAL_ERROR}
    assert all("psutil 6.9 is too old; install 7.1 or newer" in done.stderr for done in answers)
    assert not daemon.runtime_files.directory.exists()


def test_a_defect_ends_the_daemon_with_a_line_in_the_log_that_has_its_traceback(tmp_path):
    config = load(write_config(tmp_path, "[log]\nfile = 'log'"), {})

    def serve_with_a_defect():
        run._supervise = lambda *_given: 1 // 0
        return run.serve(config, RuntimeFiles(config), config.log, lambda: None)

    said = in_a_child(serve_with_a_defect)
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())

    assert said.startswith("GigqdError: internal error: ZeroDivisionError")
    assert (line["event"], line["level"], line["exit_code"]) == ("daemon_failed", "critical", 70)
    assert "ZeroDivisionError" in line["traceback"]
