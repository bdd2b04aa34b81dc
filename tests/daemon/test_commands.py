"""The `gigqd` command: what it says and how it exits, with and without a daemon."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from support import fork_server, jobs
from support.configs import clean_environment
from support.files import names_in
from support.holder import lock_holder
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.linux import syscalls

pytestmark = pytest.mark.daemon


@pytest.fixture
def stopped(daemons):
    return daemons(start=False)


@pytest.fixture
def detached(daemons):
    """A daemon that a test starts with `gigqd start`."""
    daemon = daemons(start=False)
    yield daemon
    daemon.command("stop", "--now")


def is_alive(pid):
    try:
        return syscalls.read_process(pid).alive
    except ProcessLookupError:
        return False


# Root may look everywhere, so it gives that up; for others there is nothing to give up.
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
prctl = ctypes.CDLL(None).prctl
for capability in (1, 2):
    prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "gigqd", *sys.argv[1:]])
"""


def last_words(done):
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("status",), exit_codes.STATUS_STOPPED, "gigqd is not running"),
        (("check",), exit_codes.OK, "valid"),
        (("check", "--db"), exit_codes.NOT_PERMITTED, "cannot enter"),
    ],
)
def test_folders_that_one_may_not_enter_are_no_internal_error(
    daemons, tmp_path, command, code, words
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    settings = {"queue.database": str(closed / "q.db"), "log.file": str(closed / "gigqd.log")}
    stopped = daemons(settings, start=False)
    arguments = ["--config", str(stopped.config_path), *command]

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGE, *arguments],
        env=stopped.environment, capture_output=True, text=True, timeout=40,
    )  # fmt: skip
    closed.chmod(0o700)

    assert (done.returncode, words in done.stdout + done.stderr) == (code, True)
    assert "internal" not in done.stderr


@pytest.mark.fault("A14")
@pytest.mark.parametrize(
    ("command", "code", "closed"),
    [
        *(("status", 3, closed) for closed in (">&-", "2>&-", "<&- >&- 2>&-")),
        ("stop", 0, ">&-"),
        ("check", 0, "<&- >&- 2>&-"),
    ],
)
def test_a_stream_that_was_closed_at_the_start_is_no_trouble(stopped, command, code, closed):
    gigqd = shlex.join([sys.executable, "-m", "gigqd", "--config", str(stopped.config_path)])
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {gigqd} {command} {closed}"],
        env=stopped.environment, capture_output=True, text=True, timeout=40,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (code, "")


# --- without a daemon ------------------------------------------------------------------------


@pytest.mark.fault("A4")
@pytest.mark.parametrize(
    ("command", "code"),
    [("status", 3), ("stop", 0), ("reload", 7), ("stop --now", 0), ("stop --force", 0)],
)
def test_without_a_daemon_commands_say_so(stopped, command, code):
    assert last_words(stopped.command(*command.split())) == (
        code,
        ("gigqd: not running" if command == "reload" else "gigqd is not running"),
    )


@pytest.mark.fault("A8")
def test_a_stale_pid_file_is_reported_and_left_alone(stopped):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stopped.runtime_files.directory.mkdir()
        pid_file = stopped.runtime_files.pid_path
        pid_file.write_text(f"{bystander.pid}\n{syscalls.start_ticks(bystander.pid)}\n")

        code, text = last_words(stopped.command("status"))
        stop = last_words(stopped.command("stop", "--force"))

        assert code == exit_codes.STATUS_STALE
        assert f"its pid file is left (pid {bystander.pid})" in text
        assert stop == (0, f"gigqd is not running (stale pid file: {bystander.pid})")
        assert pid_file.exists()
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.fault("A7")
def test_a_start_over_a_stale_pid_file_is_logged(daemons):
    daemon = daemons(start=False)
    daemon.runtime_files.directory.mkdir()
    daemon.runtime_files.pid_path.write_text("4194000\n1\n")

    daemon.start()

    assert daemon.wait_for_event("stale_pidfile")["stale_pid"] == 4194000
    assert daemon.runtime_files.pid_path.read_text().split()[0] == str(daemon.pid)


def test_status_answers_programs_when_nobody_runs(stopped):
    done = stopped.command("status", "--json")

    assert done.returncode == 3
    assert json.loads(done.stdout) == {
        "ok": False, "code": 3, "state": "stopped", "stale_pid": None,
    }  # fmt: skip


@pytest.mark.fault("B9")
def test_a_daemon_that_does_not_answer_is_neither_running_nor_stopped(stopped):
    with (
        lock_holder(stopped.config_path, "pid", "socket") as holder,
        ThreadPoolExecutor() as threads,
    ):
        done, stop = threads.map(stopped.command, ["status", "stop"])

    assert done.returncode == exit_codes.STATUS_UNKNOWN
    assert f"running (pid {holder.pid}, since " in done.stdout
    assert "not answering for 0.8 s" in done.stdout
    assert stop.returncode == exit_codes.FAILED
    assert "`gigqd stop --force` kills it" in stop.stderr


# --- a wrong configuration -------------------------------------------------------------------


@pytest.mark.fault("A21")
@pytest.mark.parametrize("command", ["run", "start", "restart", "check"])
def test_a_wrong_configuration_is_refused_with_file_line_and_key(stopped, command):
    stopped.configure({"pools.default.sise": 3, "daemon.stop_timeout": "soon"})

    code, text = last_words(stopped.command(command))

    assert code == exit_codes.BAD_CONFIG
    first, second = text.splitlines()
    assert first.startswith(f"{stopped.config_path}:3: daemon.stop_timeout: ")
    assert second.startswith(f"{stopped.config_path}:13: pools.default.sise: ")
    assert 'did you mean "size"' in second
    assert "run" not in names_in(stopped.home)


def test_a_missing_file_is_a_wrong_configuration(tmp_path):
    command = ["check", "--config", str(tmp_path / "none.toml")]
    done = fork_server.run("gigqd", command, folder=tmp_path, environment=clean_environment())

    assert done.returncode == exit_codes.BAD_CONFIG
    assert "none.toml" in done.stderr


def test_a_wrong_configuration_does_not_keep_a_daemon_from_being_stopped(daemons):
    daemon = daemons()
    daemon.configure({"pools.default.size": "many"})

    restart = daemon.command("restart")
    status = daemon.command("status")
    stop = daemon.command("stop")

    assert (restart.returncode, status.returncode, stop.returncode) == (exit_codes.BAD_CONFIG, 0, 0)
    daemon.configure({"pools.default.size": 2})


def test_a_daemon_whose_file_is_no_toml_any_more_is_found_in_its_runtime_directory(daemons):
    daemon = daemons()
    daemon.configure(text="no toml [[[")

    status = daemon.command("status", "--runtime-dir", str(daemon.home / "run"))
    stop = daemon.command("stop", "--runtime-dir", str(daemon.home / "run"))

    assert (status.returncode, stop.returncode) == (0, 0)
    assert daemon.wait_for_exit() == 0


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["start", "--wait", "-1"], ["stop", "x"], ["stop", "--no"]]
)
def test_a_wrong_use_is_distinguished(stopped, arguments):
    assert stopped.command(*arguments).returncode == exit_codes.USAGE


def test_the_configuration_may_be_named_before_or_behind_the_command(stopped):
    command = ["check", "--config", str(stopped.config_path)]

    behind = fork_server.run("gigqd", command, folder="/", environment=stopped.environment)

    assert behind.stdout.splitlines()[0] == f"{stopped.config_path}: valid"
    assert stopped.command("check").stdout == behind.stdout


# --- check -----------------------------------------------------------------------------------


def test_check_tries_database_and_imports_without_leaving_a_trace(stopped):
    stopped.configure({"code.imports": ["support.jobs"]})

    done = stopped.command("check", "--db", "--import", "--json")

    findings = {finding["what"]: finding["text"] for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 0, done
    assert findings["imports"] == "support.jobs"
    assert "does not exist yet" in findings["database"]
    assert names_in(stopped.home) == ["gigq.toml"]


def test_check_finds_a_module_that_cannot_be_imported(stopped):
    stopped.configure({"code.imports": ["no_such_module"]})

    code, text = last_words(stopped.command("check", "--import"))

    assert code == exit_codes.CANNOT_IMPORT
    assert "imports: ModuleNotFoundError: No module named 'no_such_module'" in text


@pytest.mark.parametrize("content", [b"this is no database, but long enough to be one" * 99, None])
def test_check_finds_a_database_that_cannot_be_used(stopped, content):
    if content:
        stopped.database.write_bytes(content)
    else:
        stopped.database.mkdir()

    code, text = last_words(stopped.command("check", "--db"))

    assert code == exit_codes.DATABASE_UNAVAILABLE
    assert str(stopped.database) in text


# --- start, status, stop ---------------------------------------------------------------------


@pytest.mark.fault("A1")
def test_start_returns_when_the_pool_is_ready_and_stop_when_it_is_gone(detached):
    start = detached.command("start")
    status = detached.command("status", "--json")
    stop = detached.command("stop")

    answer = json.loads(status.stdout)
    log = detached.runtime_files.log_path
    assert last_words(start) == (0, f"gigqd started (pid {answer['pid']}), log {log}")
    assert status.returncode == 0
    assert answer["state"] == "running"
    assert any(slot["state"] == "idle" for slot in answer["slots"] if slot["role"] == "worker")
    assert stop.returncode == 0
    assert "0 running jobs finished, 0 released" in stop.stdout
    assert names_in(detached.runtime_files.directory) == ["gigqd.lock", "gigqd.log"]
    assert not is_alive(answer["pid"])


@pytest.mark.fault("A3")
def test_starting_twice_is_fine_unless_it_must_not_be(detached):
    detached.command("start")
    pid = detached.status()["pid"]

    again = detached.command("start")
    strict = detached.command("start", "--strict")
    run = detached.command("run")

    assert again.returncode == 0
    assert again.stdout.startswith(f"gigqd is already running (pid {pid}, since ")
    assert strict.returncode == run.returncode == exit_codes.ALREADY_RUNNING
    assert strict.stderr.startswith(f"gigqd: already running (pid {pid}, since ")
    assert detached.status()["pid"] == pid


@pytest.mark.fault("A2")
def test_of_several_starts_at_once_one_starts_the_daemon(detached):
    command = [sys.executable, "-m", "gigqd", "--config", str(detached.config_path), "start"]
    options = {"stdout": subprocess.PIPE, "text": True, "env": detached.environment}
    starts = [subprocess.Popen(command, **options) for _ in range(4)]

    outputs = [start.communicate()[0] for start in starts]

    assert [start.returncode for start in starts] == [0] * 4, outputs
    assert sorted(text.split()[1] for text in outputs) == ["is", "is", "is", "started"]


@pytest.mark.fault("A15", "F1")
def test_a_start_that_fails_prints_the_cause_and_leaves_nothing_running(detached):
    detached.configure({"code.imports": ["no_such_module"]})

    code, text = last_words(detached.command("start"))

    assert code == exit_codes.CANNOT_IMPORT
    assert "No module named 'no_such_module'" in text
    assert detached.command("status").returncode == 3


@pytest.mark.fault("A20")
@pytest.mark.parametrize(
    "unit",
    [
        {"NOTIFY_SOCKET": "/run/systemd/notify"},
        {"INVOCATION_ID": "1f", "SYSTEMD_EXEC_PID": str(os.getpid())},
    ],
)
def test_start_is_refused_in_a_unit(detached, unit):
    detached.fresh = True  # the parent of the command is what a unit has started
    detached.environment |= unit

    code, text = last_words(detached.command("start"))

    assert code == exit_codes.USAGE
    assert "use `gigqd run`" in text


def test_a_restart_that_would_be_refused_in_a_unit_leaves_the_daemon_running(detached):
    detached.command("start")
    pid = detached.client.ask("status")["pid"]
    detached.environment["NOTIFY_SOCKET"] = "/run/systemd/notify"

    code, text = last_words(detached.command("restart"))

    assert code == exit_codes.USAGE
    assert "use `gigqd run`" in text
    assert detached.client.ask("status")["pid"] == pid


def test_a_start_in_the_foreground_that_fails_says_so_when_the_log_is_a_file(daemons, tmp_path):
    log_file = tmp_path / "gigqd.log"
    stopped = daemons({"log.file": str(log_file), "queue.database": "/dev/null/x"}, start=False)

    code, text = last_words(stopped.command("run"))

    assert code != 0
    assert text.startswith("gigqd: ")
    assert text.removeprefix("gigqd: ") in log_file.read_text()


def test_a_stop_reports_what_became_of_the_running_jobs(daemons):
    daemon = daemons({"daemon.stop_timeout": "1s"})
    release = daemon.home / "release"
    daemon.submit(jobs.wait_for_file, "short", {"path": str(release)})
    daemon.submit(jobs.sleep_py, "long")
    daemon.wait_for_calls("short")
    daemon.wait_for_calls("long")
    release.touch()

    done = daemon.command("stop")

    assert done.returncode == 0
    assert "1 released" in done.stdout
    assert daemon.wait_for_exit() == 0


def test_stop_now_does_not_wait_for_jobs(daemons):
    daemon = daemons({"daemon.stop_timeout": "60s"})
    daemon.submit(jobs.sleep_py, "long")
    daemon.wait_for_calls("long")

    done = daemon.command("stop", "--now")

    assert done.returncode == 0
    assert "0 running jobs finished, 1 released" in done.stdout


@pytest.mark.fault("B9")
def test_a_stopped_supervisor_is_ended_by_force_with_its_jobs(daemons):
    daemon = daemons()
    daemon.submit(jobs.spawn_children, "family")
    wait_until(lambda: len(jobs.child_pids(daemon.ledger)) == 6)
    daemon.signal(signal.SIGSTOP)

    polite = daemon.command("stop")
    forced = daemon.command("stop", "--force")

    assert polite.returncode == exit_codes.FAILED
    assert forced.returncode == 0
    assert forced.stdout.startswith(f"gigqd (pid {daemon.pid}) killed")
    assert daemon.wait_for_exit() == -signal.SIGKILL
    assert daemon.tagged_pids() == []


def test_restart_gives_a_new_daemon(detached):
    detached.command("start")
    before = detached.status()["pid"]

    done = detached.command("restart")

    assert done.returncode == 0, done
    assert detached.status()["pid"] not in (before, None)


def test_the_log_of_a_detached_daemon_is_reopened_on_request(detached):
    detached.command("start")
    log = detached.runtime_files.log_path
    log.rename(log.with_suffix(".1"))

    os.kill(detached.status()["pid"], signal.SIGUSR1)

    wait_until(lambda: log.exists() and "log_reopened" in log.read_text())


# --- reload ----------------------------------------------------------------------------------


def test_a_reload_lists_what_it_took(daemons):
    daemon = daemons()
    before = daemon.worker_pids()
    daemon.configure({"pools.default.size": 3, "log.level": "debug", "daemon.name": "other"})
    daemon.configure({"daemon.name": None})

    done = daemon.command("reload", "--wait")

    assert done.returncode == 0, done
    assert "applied at once: " in done.stdout
    assert "pools.default.size" in done.stdout
    assert len(daemon.slots("idle")) == 3
    assert not set(before) & set(daemon.worker_pids())


@pytest.mark.fault("D1")
def test_a_refused_reload_changes_nothing_and_says_why(daemons):
    daemon = daemons()
    before = daemon.status()
    daemon.configure({"pools.default.size": -1})

    done = daemon.command("reload", "--wait")

    assert done.returncode == exit_codes.BAD_CONFIG
    assert "reload refused; the daemon is unchanged" in done.stderr
    assert "a worker replaced later imports the code on disk:" in done.stderr
    assert f"{daemon.config_path}:" in done.stderr
    assert "pools.default.size" in done.stderr
    after = daemon.status()
    assert after["generation"] == before["generation"]
    assert [slot["pid"] for slot in after["slots"]] == [slot["pid"] for slot in before["slots"]]
    daemon.configure({"pools.default.size": 2})


@pytest.mark.fault("D2")
def test_a_reload_whose_workers_do_not_come_up_says_so(daemons):
    daemon = daemons()
    daemon.configure({"code.imports": ["no_such_module"]})

    done = daemon.command("reload", "--wait", "--timeout", "10")

    assert done.returncode == exit_codes.CANNOT_IMPORT
    assert "no_such_module" in done.stderr


# --- systemd ---------------------------------------------------------------------------------


@pytest.mark.fault("A20", "B13")
def test_the_service_manager_hears_of_readiness_once_and_of_the_stop(daemons):
    daemon = daemons(start=False)
    name = f"gigqd-test-{os.getpid()}-{time.monotonic_ns()}"
    notes: list[str] = []
    over = threading.Event()

    def read(manager):  # all the time, as a service manager does: few messages fit the socket
        while not over.is_set():
            with suppress(TimeoutError):
                notes.append(manager.recv(4096).decode())

    def is_up():
        return notes.count("WATCHDOG=1") >= 3 and any("READY=1" in note for note in notes)

    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        ThreadPoolExecutor(1) as reader,
    ):
        manager.bind(f"\0{name}")
        manager.settimeout(0.1)
        try:
            reader.submit(read, manager)
            daemon.start(NOTIFY_SOCKET=f"@{name}", WATCHDOG_USEC="400000")
            wait_until(is_up, 60)
            daemon.stop()
        finally:
            over.set()
        reader.shutdown()
        manager.setblocking(False)
        notes += drain(manager)

    assert sum("READY=1" in note for note in notes) == 1
    assert sum(note == "WATCHDOG=1" for note in notes) >= 3
    assert sum("STOPPING=1" in note for note in notes) == 1


def drain(sock):
    notes = []
    while True:
        try:
            notes.append(sock.recv(4096).decode())
        except BlockingIOError:
            return notes


@pytest.mark.fault("H4")
def test_workers_do_not_inherit_the_service_managers_variables(daemons, tmp_path):
    daemon = daemons(start=False)
    daemon.start(NOTIFY_SOCKET=str(tmp_path / "nobody"), INVOCATION_ID="1f")

    job_id = daemon.submit(jobs.environment, "look", {"names": ["NOTIFY_SOCKET", "INVOCATION_ID"]})

    result = daemon.wait_for_job(job_id, "completed")["result"]
    assert result["env"] == {"NOTIFY_SOCKET": None, "INVOCATION_ID": None}


# --- files that go missing -------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.fault("A11", "H10")
def test_a_runtime_file_that_is_deleted_is_put_back(daemons):
    # One daemon for each file, side by side: each looks every few seconds only.
    cases = [(daemons(), which) for which in ("lock_path", "pid_path", "socket_path")]
    paths = [getattr(daemon.runtime_files, which) for daemon, which in cases]

    for path in paths:
        path.unlink()
    wait_until(lambda: all(path.exists() for path in paths))

    for (daemon, _), path in zip(cases, paths, strict=True):
        assert daemon.wait_for_event("files_repaired")["files"] == [path.name]
        assert daemon.status()["state"] == "running"
        assert daemon.command("start", "--strict").returncode == 75
