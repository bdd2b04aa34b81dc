"""Commands among stale and hostile runtime files: a clear message, and no process harmed."""

import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from support.configs import write_config
from support.holder import lock_holder
from support.impostor import impostor
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.cli.control_client import Client, NotAnswering
from gigqd.config import load
from gigqd.host.runtime_files import CannotCreate, RuntimeFiles
from gigqd.linux import syscalls

pytestmark = pytest.mark.daemon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def stopped(daemons):
    daemon = daemons(start=False)
    daemon.runtime_files.directory.mkdir()
    yield daemon
    daemon.runtime_files.directory.chmod(0o750)
    for path in (
        daemon.runtime_files.pid_path,
        daemon.runtime_files.socket_path,
        daemon.runtime_files.lock_path,
    ):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@pytest.fixture
def runtime_files(tmp_path):
    (tmp_path / "run").mkdir()
    return RuntimeFiles(load(write_config(tmp_path), {}))


@pytest.fixture
def bystander():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        assert process.poll() is None, "a process of another program was ended"
        process.kill()


def ended_well(*done):
    """Whether commands have ended by themselves, in words and not in tracebacks."""
    texts = [each.stdout + each.stderr for each in done]
    assert not [text for text in texts if "Traceback" in text or "internal error" in text]
    assert not [text for text in texts if not text.replace("\n", "").isprintable()]
    return [each.returncode for each in done]


# --- pid files -------------------------------------------------------------------------------


def note_of(pid):
    return f"{pid}\nstart_ticks={syscalls.start_ticks(pid)}\n"


def plant(path, kind, bystander):
    """Put something in the place of a runtime file; other kinds are texts."""
    match kind:
        case "a link":
            (path.parent / "elsewhere").write_text(note_of(bystander.pid))
            path.symlink_to(path.parent / "elsewhere")
        case "a dangling link":
            path.symlink_to("nowhere")
        case "a FIFO":
            os.mkfifo(path)
        case "a directory":
            path.mkdir()
        case "a socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
        case "100 MB":
            path.touch()
            os.truncate(path, 100_000_000)
        case _:
            path.write_text(text_of(kind, bystander))


def text_of(kind, bystander):
    named = {"a bystander": bystander.pid, "pid 1": 1, "the asker's parent": os.getpid()}
    return note_of(named[kind]) if kind in named else kind


PID_FILES = [
    "a link", "a dangling link", "a FIFO", "a directory", "a socket", "100 MB", "a bystander",
    "pid 1", "the asker's parent", "0", "-1\n", "99999999999999999999\nstart_ticks=1\n",
    "1 2 3\n", "\x1b[2J\n",
]  # fmt: skip


@pytest.mark.fault("A7", "A8", "A10")
@pytest.mark.parametrize("kind", PID_FILES)
def test_no_pid_file_keeps_a_command_from_its_end_or_has_it_signal_a_bystander(
    stopped, bystander, kind
):
    path = stopped.runtime_files.pid_path
    plant(path, kind, bystander)

    done = [stopped.command(*c.split()) for c in ("status", "stop", "stop --force", "stop --now")]
    codes = ended_well(*done)

    assert codes == [exit_codes.STATUS_STALE, 0, 0, 0]
    assert os.path.lexists(path)
    assert bystander.poll() is None


@pytest.mark.fault("A7", "A8")
@pytest.mark.parametrize("kind", ["a link", "a FIFO", "100 MB", "a bystander"])
def test_a_daemon_starts_over_what_is_no_pid_file_of_its_own(daemons, bystander, kind):
    daemon = daemons(start=False)
    daemon.runtime_files.directory.mkdir()
    plant(daemon.runtime_files.pid_path, kind, bystander)

    daemon.start()

    assert daemon.runtime_files.pid_path.read_text().split()[0] == str(daemon.pid)
    assert daemon.status()["state"] == "running"


def test_a_directory_in_the_place_of_the_pid_file_is_named(stopped, bystander):
    plant(stopped.runtime_files.pid_path, "a directory", bystander)

    start = stopped.command("start")

    assert ended_well(start) == [exit_codes.CANNOT_CREATE]
    assert (
        f"cannot create pid file {stopped.runtime_files.pid_path}: Is a directory" in start.stderr
    )


@pytest.mark.parametrize("kind", ["a bystander", "pid 1", "a link"])
def test_force_spares_a_bystander_that_the_pid_file_names_while_the_lock_is_held(
    stopped, bystander, kind
):
    plant(stopped.runtime_files.pid_path, kind, bystander)
    with lock_holder(stopped.config_path) as holder:
        done = stopped.command("stop", "--force")

        assert holder.wait() == -signal.SIGKILL
    assert ended_well(done) == [exit_codes.OK]
    assert f"gigqd (pid {holder.pid}) killed" in done.stdout


# --- sockets ---------------------------------------------------------------------------------

WRONG_ANSWERS = [
    "silent", "closes", "garbage", "a number", "an empty object", "ok only", "wrong kinds",
    "nested", "endless", "lies",
]  # fmt: skip


@pytest.mark.parametrize("how", WRONG_ANSWERS)
def test_no_answer_is_believed_that_gigqd_does_not_give(stopped, how):
    with (
        lock_holder(stopped.config_path),
        impostor(stopped.runtime_files.socket_path, how) as process,
    ):
        status = stopped.command("status")
        as_json = stopped.command("status", "--json")
        pause = stopped.command("pause", "--timeout", "0.5")
        reload = stopped.command("reload", "--timeout", "0.5")

        assert process.poll() is None
    first, second, third, fourth = ended_well(status, as_json, pause, reload)
    assert (first, second) == (exit_codes.STATUS_UNKNOWN, exit_codes.STATUS_UNKNOWN)
    if how == "lies":
        assert (third, fourth) == (70, 70)
    else:
        assert third in (exit_codes.STATUS_UNKNOWN, exit_codes.OK)
        assert fourth == exit_codes.STATUS_UNKNOWN


def test_a_command_does_not_take_in_more_than_an_answer_can_be(stopped):
    with (
        lock_holder(stopped.config_path),
        impostor(stopped.runtime_files.socket_path, "endless"),
        pytest.raises(NotAnswering, match="no valid answer"),
    ):
        Client(stopped.runtime_files).ask("status", within=10)


def test_a_link_to_the_socket_of_another_daemon_is_not_followed(daemons, runtime_files, tmp_path):
    other = daemons()
    runtime_files.socket_path.symlink_to(other.runtime_files.socket_path)

    assert runtime_files.running() is None
    with (
        lock_holder(tmp_path / "gigq.toml"),
        pytest.raises(NotAnswering, match="not a socket"),
    ):
        Client(runtime_files).ask("stop", within=0.5)

    runtime_files.lock()
    runtime_files.release()
    assert other.status()["state"] == "running"


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "a+")
fcntl.lockf(lock, getattr(fcntl, sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["LOCK_SH", "LOCK_EX"])
def test_a_lock_of_another_program_is_not_taken_for_a_daemon(daemons, how):
    daemon = daemons(start=False)
    daemon.runtime_files.directory.mkdir()
    command = [sys.executable, "-c", HOLDER, str(daemon.runtime_files.lock_path), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        holder.stdout.readline()
        words = ("status", "start", "run", "stop --force")
        done = [daemon.command(*word.split()) for word in words]
        assert holder.poll() is None
        holder.communicate()

    assert [one.returncode for one in done] == [exit_codes.STATUS_STOPPED, 73, 73, exit_codes.OK]
    assert "another program than gigqd holds a lock on it" in done[1].stderr
    daemon.start()


@pytest.mark.parametrize("kind", ["a file", "a FIFO", "a dangling link"])
def test_what_lies_in_the_place_of_the_socket_is_no_daemon_and_is_replaced(
    daemons, bystander, kind
):
    daemon = daemons(start=False)
    daemon.runtime_files.directory.mkdir()
    plant(daemon.runtime_files.socket_path, kind, bystander)

    status = daemon.command("status")
    daemon.start()

    assert ended_well(status) == [exit_codes.STATUS_STOPPED]
    assert daemon.status()["state"] == "running"


def test_a_directory_in_the_place_of_the_socket_is_named(stopped, bystander):
    plant(stopped.runtime_files.socket_path, "a directory", bystander)

    start = stopped.command("start")

    assert ended_well(start) == [exit_codes.CANNOT_CREATE]
    assert f"cannot create control socket {stopped.runtime_files.socket_path}: " in start.stderr


@pytest.mark.root
@needs_root
def test_a_stranger_who_listens_is_not_taken_for_the_daemon(stopped):
    with impostor(stopped.runtime_files.socket_path, "silent", uid=4711) as process:
        alone = stopped.command("status")
        with lock_holder(stopped.config_path) as holder:
            beside = stopped.command("status")
            force = stopped.command("stop", "--force")

            assert holder.wait() == -signal.SIGKILL
        assert process.poll() is None
    assert ended_well(alone, beside, force) == [3, 4, 0]
    assert f"process {process.pid} of user id 4711 listens in the place of gigqd" in beside.stdout


# --- locks and directories -------------------------------------------------------------------


@pytest.mark.fault("A13")
@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("a directory", exit_codes.STATUS_STOPPED, "Is a directory"),
        ("a FIFO", exit_codes.STATUS_STOPPED, "it is not a plain file; remove it"),
        ("a link", exit_codes.STATUS_UNKNOWN, "it is a symbolic link; remove it"),
    ],
)
def test_what_is_no_lock_keeps_a_daemon_from_starting_and_a_command_from_nothing(
    stopped, bystander, kind, code, words
):
    plant(stopped.runtime_files.lock_path, kind, bystander)

    status, start = stopped.command("status"), stopped.command("start")

    assert ended_well(status, start) == [code, exit_codes.CANNOT_CREATE]
    assert f"cannot create lock {stopped.runtime_files.lock_path}: {words}" in start.stderr


@pytest.mark.fault("A13")
@pytest.mark.parametrize("command", ["status", "stop", "reload", "pause"])
def test_nothing_in_a_directory_that_every_account_may_write_counts(stopped, bystander, command):
    plant(stopped.runtime_files.pid_path, "a bystander", bystander)
    stopped.runtime_files.directory.chmod(0o777)

    done = stopped.command(command)

    code = exit_codes.STATUS_UNKNOWN if command == "status" else exit_codes.NOT_PERMITTED
    assert ended_well(done) == [code]
    assert "every account may write in it" in done.stdout + done.stderr


@pytest.mark.fault("A13")
@pytest.mark.root
@needs_root
def test_the_runtime_directory_of_another_is_not_used(tmp_path, runtime_files, monkeypatch):
    os.chown(runtime_files.directory, 4710, 4710)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    with pytest.raises(CannotCreate, match="belongs to user id 4710, not to 4711"):
        runtime_files.lock()
    assert runtime_files.running() is None


# --- a daemon that cannot answer -------------------------------------------------------------


@pytest.mark.fault("B9")
def test_a_request_that_its_command_gave_up_is_not_obeyed_later(daemons):
    daemon = daemons()
    before = daemon.status()["generation"]
    daemon.signal(signal.SIGSTOP)

    reload = daemon.command("reload", "--timeout", "0.5")
    pause = daemon.command("pause", "--timeout", "0.5")
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: len(daemon.events("control_dropped")) >= 2)

    assert ended_well(reload, pause) == [exit_codes.STATUS_UNKNOWN, exit_codes.STATUS_UNKNOWN]
    assert "the daemon drops the request" in reload.stderr
    status = daemon.status()
    assert (status["generation"], status["paused"], status["state"]) == (before, False, "running")


@pytest.mark.fault("S2")
def test_a_start_says_at_once_which_file_beside_the_database_is_a_link(daemons):
    daemon = daemons()
    daemon.stop()
    mark = daemon.home / "jobs.db.gigq" / "initialized"
    mark.unlink()
    mark.symlink_to(daemon.home / "elsewhere")

    done = daemon.command("start", timeout=20)

    assert done.returncode == exit_codes.NOT_PERMITTED
    assert f"{mark} is a symbolic link" in done.stderr
    assert not (daemon.home / "elsewhere").exists()
