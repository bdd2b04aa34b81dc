"""What may be `log.file`: `gigqd check` and `gigqd start` say the same, and neither waits."""

import os
import socket
import subprocess
import sys

import pytest
from support import fork_server
from support.configs import clean_environment, to_toml
from support.waiting import wait_until

from gigq import JobQueue
from gigqd import exit_codes
from gigqd.ipc.control_socket import address

pytestmark = pytest.mark.daemon

WRONG = {
    "a FIFO": "is a FIFO",
    "a FIFO with a reader": "is a FIFO",
    "a socket": "is a socket",
    "a directory": "is a directory",
    "a link": "is a symbolic link",
    "a link to nothing": "is a symbolic link",
    "/dev/zero": "is a device",
    "/dev/full": "is a device",
    "missing/gigqd.log": "there is no directory",
    "jobs.db": "is the database",
    "jobs.db-wal": "is the database",
    "jobs.db-shm": "is the database",
    "jobs.db-journal": "is the database",
    "jobs.db.gigq": "is in the folder that gigq keeps",
    "jobs.db.gigq/locks": "is in the folder that gigq keeps",
    "a second name of the database": "is the database",
    "folder/jobs.db": "is the database",
    "gigq.toml": "is the configuration",
    "gigq.env": "is the environment file",
    "run/gigqd.lock": "is one of the daemon's runtime files",
    "run/gigqd.pid": "is one of the daemon's runtime files",
    "run/gigqd.sock": "is one of the daemon's runtime files",
}


class Home:
    """A folder with a database, an environment file and a configuration."""

    def __init__(self, path):
        self.path = path
        JobQueue(path / "jobs.db").close()
        (path / "gigq.env").write_text("A=1\n")
        (path / "jobs.db.gigq").mkdir(exist_ok=True)
        (path / "run").mkdir()
        (path / "folder").symlink_to(path)

    def refused(self, *words):
        """Run a command that starts no daemon."""
        arguments = ["--config", str(self.path / "gigq.toml"), *words]
        environment = clean_environment()
        return fork_server.run("gigqd", arguments, folder=self.path, environment=environment)

    def gigqd(self, *words, **options):
        command = [sys.executable, "-m", "gigqd", "--config", str(self.path / "gigq.toml"), *words]
        options = {"capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run(command, env=clean_environment(), cwd=self.path, **options)

    def configure(self, file):
        settings = {
            "daemon.runtime_dir": "run",
            "queue.database": "jobs.db",
            "code.environment_file": "gigq.env",
            "pools.default.size": 1,
            "log.file": file,
        }
        (self.path / "gigq.toml").write_text(to_toml(settings))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def reader(tmp_path):
    """A reader of a FIFO: without one, opening the FIFO for writing fails at once."""
    os.mkfifo(tmp_path / "a FIFO with a reader")
    descriptor = os.open(tmp_path / "a FIFO with a reader", os.O_RDONLY | os.O_NONBLOCK)
    yield
    os.close(descriptor)


def place(path, kind):
    match kind:
        case "a FIFO":
            os.mkfifo(path / kind)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as listener, address(path / kind) as name:
                listener.bind(name)
        case "a directory":
            (path / kind).mkdir()
        case "a link":
            (path / kind).symlink_to("target")
            (path / "target").touch()
        case "a link to nothing":
            (path / kind).symlink_to("target")
        case "a second name of the database":
            os.link(path / "jobs.db", path / kind)


@pytest.mark.fault("S4")
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("kind", WRONG)
def test_check_and_start_refuse_the_same_file_with_the_same_words(home, kind):
    place(home.path, kind)
    home.configure(kind)
    before = (home.path / "jobs.db").read_bytes()

    check, start, run = (home.refused(word) for word in ("check", "start", "run"))

    assert [done.returncode for done in (check, start, run)] == [exit_codes.BAD_CONFIG] * 3
    assert f"log.file: {WRONG[kind]}" in check.stderr
    assert check.stderr == start.stderr == run.stderr
    assert (home.path / "jobs.db").read_bytes() == before


@pytest.mark.parametrize("kind", ["/dev/null", "/dev/stdout", "/dev/stderr", "logs/../new.log"])
def test_check_and_start_take_the_same_file(home, kind):
    (home.path / "logs").mkdir()
    home.configure(kind)
    with (home.path / "output").open("w") as output:
        check = home.gigqd("check")
        start = home.gigqd("start", capture_output=False, stdout=output, stderr=output)
        stop = home.gigqd("stop")

    assert [done.returncode for done in (check, start, stop)] == [0, 0, 0], check.stderr
    written = "daemon_stopped" in (home.path / "output").read_text()
    assert written == (kind in ("/dev/stdout", "/dev/stderr"))


def test_standard_output_is_the_daemons_in_every_process(home):
    home.configure("/dev/stdout")
    command = [sys.executable, "-m", "gigqd", "--config", str(home.path / "gigq.toml"), "run"]
    with (
        (home.path / "output").open("w") as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            cwd=home.path,
        ) as daemon,
    ):
        queue = JobQueue(home.path / "jobs.db")
        from gigq import Job

        job_id = queue.submit(Job("one", os.getpid))
        wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
        daemon.terminate()

    text = (home.path / "output").read_text()
    assert text.count('"event": "job.completed"') == 1
    assert queue.get_status(job_id)["executions"][0]["output"] is None


@pytest.mark.fault("S4")
@pytest.mark.parametrize("kind", ["a FIFO", "a link", "a socket"])
def test_the_default_log_in_the_runtime_directory_is_no_exception(home, kind):
    home.configure("")
    place(home.path, kind)
    (home.path / kind).rename(home.path / "run" / "gigqd.log")

    start = home.gigqd("start")

    assert start.returncode == exit_codes.CANNOT_CREATE
    assert f"cannot create log {home.path}/run/gigqd.log: it is" in start.stderr
