"""One instance, one holder of the lock: with real processes, and with every wrong pid file."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import fork_server
from support.configs import clean_environment, config_in, to_toml, write_config
from support.files import names_in
from support.holder import lock_holder
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.cli.control_client import Client, NotAnswering
from gigqd.config import load
from gigqd.host.runtime_files import AlreadyRunning, CannotCreate, RuntimeFiles
from gigqd.linux import syscalls

pytestmark = pytest.mark.daemon


@pytest.fixture
def path(tmp_path):
    return write_config(tmp_path)


@pytest.fixture
def runtime_files(path):
    runtime_files = RuntimeFiles(load(path, {}))
    yield runtime_files
    runtime_files.release()


@pytest.fixture
def bystander():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        assert process.poll() is None, "a process of another program was ended"
        process.kill()


def test_a_second_holder_is_refused_and_told_who_is_first(path, runtime_files):
    with lock_holder(path, "pid") as first:
        with pytest.raises(AlreadyRunning, match=rf"already running \(pid {first.pid}, since 20"):
            runtime_files.lock()

        assert runtime_files.running().pid == first.pid


def test_already_running_carries_its_exit_code(path, runtime_files):
    with lock_holder(path) as holder, pytest.raises(AlreadyRunning) as caught:
        runtime_files.lock()

    assert caught.value.exit_code == exit_codes.ALREADY_RUNNING
    assert caught.value.pid == holder.pid


def test_a_kill_frees_the_lock_at_once(path, runtime_files):
    with lock_holder(path, "pid") as first:
        first.send_signal(signal.SIGKILL)
        first.wait()

        assert runtime_files.running() is None
        assert runtime_files.stale_pid() == first.pid
        runtime_files.lock()


def test_a_looking_client_never_makes_a_start_fail(path, runtime_files):
    finished = threading.Event()

    def look():
        while not finished.is_set():
            runtime_files.running()

    with ThreadPoolExecutor(3) as pool:
        looks = [pool.submit(look) for _ in range(3)]
        try:
            for _ in range(5):
                with lock_holder(path):
                    pass
        finally:
            finished.set()

    assert [look.exception() for look in looks] == [None] * 3


@pytest.mark.parametrize(
    "text",
    [b"", b"\0" * 8, b"not a number", b"4194304\n1\n", b"999999999999\n", b"-1\n0\n", b"1\n", b"0"],
)
def test_a_wrong_pid_file_does_not_hinder_a_start(runtime_files, text):
    runtime_files.directory.mkdir(parents=True)
    runtime_files.pid_path.write_bytes(text)

    assert runtime_files.running() is None
    runtime_files.lock()
    runtime_files.write_pid()

    assert runtime_files.pid_path.read_text().splitlines()[0] == str(os.getpid())


@pytest.mark.fault("A8")
def test_the_pid_of_a_bystander_in_the_file_is_not_taken_for_a_daemon(
    path, runtime_files, bystander
):
    runtime_files.directory.mkdir(parents=True)
    runtime_files.pid_path.write_text(
        f"{bystander.pid}\nstart_ticks={syscalls.start_ticks(bystander.pid)}\n"
    )

    assert runtime_files.running() is None
    with lock_holder(path) as holder:
        assert runtime_files.running().pid == holder.pid

    runtime_files.lock()


@pytest.mark.fault("A10")
def test_the_own_pid_in_a_stale_file_does_not_hinder_a_start(runtime_files):
    runtime_files.directory.mkdir(parents=True)
    runtime_files.pid_path.write_text(f"{os.getpid()}\n1\n")

    runtime_files.lock()

    assert runtime_files.stale_pid() == os.getpid()


@pytest.mark.fault("A11")
def test_a_daemon_without_its_pid_file_is_found(path, runtime_files):
    with lock_holder(path, "socket") as holder:
        assert runtime_files.running().pid == holder.pid


def test_a_deleted_lock_file_does_not_let_a_second_daemon_start(path, runtime_files):
    with lock_holder(path, "socket") as holder:
        runtime_files.lock_path.unlink()

        assert runtime_files.running().pid == holder.pid
        with pytest.raises(AlreadyRunning):
            runtime_files.lock()


def running_as_seen_from_another_process(path):
    """The process that another one finds: no process conflicts with its own locks."""
    program = (
        "import sys; from pathlib import Path; from gigqd.config import load\n"
        "from gigqd.host.runtime_files import RuntimeFiles\n"
        "print(RuntimeFiles(load(Path(sys.argv[1]), {})).running().pid)\n"
    )
    arguments = [program, str(path)]
    done = fork_server.run("-c", arguments, folder="/", environment=clean_environment())
    return int(done.stdout)


def test_a_deleted_lock_and_pid_file_are_put_back(path, runtime_files):
    runtime_files.lock()
    runtime_files.write_pid()
    runtime_files.lock_path.unlink()
    runtime_files.pid_path.write_text("1\n1\n")

    assert runtime_files.repair() == ("gigqd.lock", "gigqd.pid")
    assert runtime_files.repair() == ()
    assert running_as_seen_from_another_process(path) == os.getpid()


def test_a_deleted_runtime_directory_is_made_anew(path, runtime_files):
    runtime_files.lock()
    runtime_files.write_pid()
    shutil.rmtree(runtime_files.directory)

    assert runtime_files.repair() == ("run", "gigqd.lock", "gigqd.pid")
    assert runtime_files.repair() == ()
    assert running_as_seen_from_another_process(path) == os.getpid()
    assert runtime_files.directory.stat().st_mode & 0o777 == 0o750


def test_a_clean_end_leaves_only_the_lock_file(path, runtime_files):
    with lock_holder(path, "pid", "socket") as holder:
        holder.send_signal(signal.SIGTERM)
        holder.wait()

    assert names_in(runtime_files.directory) == ["gigqd.lock"]


def test_the_pid_file_of_another_is_left_alone(runtime_files):
    runtime_files.lock()
    runtime_files.pid_path.write_text("1\n1\n")

    runtime_files.release()

    assert runtime_files.pid_path.exists()


def test_the_lock_does_not_travel_to_executed_programs(path):
    program = (
        "import sys; from pathlib import Path; from gigqd.config import load\n"
        "from gigqd.host.runtime_files import RuntimeFiles; import os, subprocess\n"
        "RuntimeFiles(load(Path(sys.argv[1]), {})).lock()\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False,\n"
        "    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True)
    child = int(done.stdout)

    try:
        assert Path(f"/proc/{child}").exists()
        assert RuntimeFiles(load(path, {})).running() is None
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_forked_child_frees_and_removes_nothing(path, runtime_files):
    runtime_files.lock()
    runtime_files.write_pid()
    runtime_files.socket_path.touch()
    if (child := os.fork()) == 0:
        runtime_files.release()
        os._exit(0)
    os.waitpid(child, 0)

    assert running_as_seen_from_another_process(path) == os.getpid()
    assert names_in(runtime_files.directory) == ["gigqd.lock", "gigqd.pid", "gigqd.sock"]


@pytest.mark.fault("A2")
def test_of_many_that_start_at_once_exactly_one_wins(path):
    program = (
        "import sys; from pathlib import Path\n"
        "from gigqd.config import load\n"
        "from gigqd.host.runtime_files import RuntimeFiles, AlreadyRunning\n"
        "instance = RuntimeFiles(load(Path(sys.argv[1]), {}))\n"
        "try: instance.lock(); instance.write_pid(); print('won', flush=True); sys.stdin.read()\n"
        "except AlreadyRunning: print('lost', flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(6)]
    try:
        answers = sorted(process.stdout.readline().strip() for process in processes)
    finally:
        for process in processes:
            process.communicate()

    assert answers == ["lost"] * 5 + ["won"]


def test_names_tell_instances_in_one_directory_apart(tmp_path):
    first, second = (
        RuntimeFiles(config_in(tmp_path)),
        RuntimeFiles(config_in(tmp_path, name="mail")),
    )
    first.lock()
    second.lock()

    assert second.socket_path.name == "gigqd-mail.sock"
    first.release()
    second.release()


@pytest.mark.fault("A13")
def test_a_runtime_directory_that_cannot_be_made_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotCreate, match=r"file/run: Not a directory") as caught:
        RuntimeFiles(config_in(tmp_path, runtime_dir=tmp_path / "file" / "run")).lock()

    assert caught.value.exit_code == exit_codes.CANNOT_CREATE


def test_a_runtime_directory_that_every_account_may_write_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    with pytest.raises(CannotCreate, match="every account may write in it"):
        RuntimeFiles(config_in(tmp_path, runtime_dir=shared)).lock()

    assert names_in(shared) == []


@pytest.mark.fault("A13")
def test_a_runtime_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    if os.geteuid() == 0:
        os.chown(foreign, 4710, 4710)
    owner = foreign.stat().st_uid
    runtime_files = RuntimeFiles(config_in(tmp_path, runtime_dir=foreign))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    with pytest.raises(CannotCreate, match=f"belongs to user id {owner}, not to 4711"):
        runtime_files.lock()

    assert names_in(foreign) == []


def test_a_daemon_is_reached_however_long_the_path_of_its_socket_is(tmp_path):
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    path = tmp_path / "gigq.toml"
    path.write_text(to_toml({"daemon.runtime_dir": str(deep), "queue.database": "jobs.db"}))
    client = Client(RuntimeFiles(load(path, {})))
    with lock_holder(path, "socket"), pytest.raises(NotAnswering, match=r"not answering for 0.1 s"):
        client.ask("status", within=0.1)


def test_a_link_in_the_place_of_the_lock_is_not_followed(runtime_files, tmp_path):
    runtime_files.directory.mkdir(parents=True)
    runtime_files.lock_path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CannotCreate, match="cannot create lock"):
        runtime_files.lock()

    assert not (tmp_path / "elsewhere").exists()


def test_a_holder_that_does_not_answer_on_its_socket_is_still_running(path, runtime_files):
    with lock_holder(path, "pid", "socket") as holder:
        holder.send_signal(19)
        wait_until(lambda: syscalls.stat_fields(holder.pid)[0] == "T")

        assert runtime_files.running().pid == holder.pid
