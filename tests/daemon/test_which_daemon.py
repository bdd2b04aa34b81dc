"""Which daemon a command reaches: that of its configuration file, wherever it was started."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support import jobs
from support.configs import clean_environment
from support.files import open_up
from support.other_user import interpreter_for
from support.project import Project
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.cli.control_client import Client
from gigqd.config import DaemonConfig
from gigqd.host.identity import Identity
from gigqd.host.runtime_files import RuntimeFiles

pytestmark = pytest.mark.daemon

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


@pytest.fixture
def projects():
    """A function that makes projects; their daemons are stopped at the end."""
    made, handles = [], []

    class Stopped(Project):
        def start(self, **environment):
            pid = super().start(**environment)
            handles.append(os.pidfd_open(pid))  # the number may be given to another process
            return pid

    def make(*arguments, **options):
        made.append(Stopped(*arguments, **options))
        return made[-1]

    yield make
    for project in made:
        project.gigqd("stop", "--now")
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _is_gigqd(pid):
    with suppress(OSError):
        return b"gigqd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.fixture
def shop(tmp_path, projects):
    return projects(tmp_path / "shop")


@pytest.fixture
def blog(tmp_path, projects):
    return projects(tmp_path / "blog")


def test_two_projects_of_one_session_do_not_meet(shop, blog, tmp_path):
    session = {"XDG_RUNTIME_DIR": str(tmp_path)}
    pid = shop.start(**session)

    before = [blog.gigqd(word, **session).returncode for word in ("status", "reload", "stop")]
    other = blog.start(**session)
    reached = [project.pid(**session) for project in (shop, blog)]
    blog.gigqd("stop", **session)

    assert before == [exit_codes.STATUS_STOPPED, exit_codes.NOT_RUNNING, exit_codes.OK]
    assert reached == [pid, other]
    assert shop.pid(**session) == pid


def test_two_databases_in_one_folder_have_two_daemons(projects, tmp_path):
    one = projects(tmp_path / "home")
    other = projects(tmp_path / "home", {"queue.database": "other.db"})
    other.file = other.file.rename(tmp_path / "home" / "other.toml")
    one.configure({})

    pids = [one.start(), other.start()]

    assert [one.pid(), other.pid()] == pids


@pytest.mark.parametrize("start", [{"XDG_RUNTIME_DIR": "/run/user/1"}, {"RUNTIME_DIRECTORY": "/x"}])
def test_a_daemon_is_reached_from_another_session(shop, start):
    pid = shop.start(**start)

    assert shop.pid() == pid
    assert shop.gigqd("reload").returncode == exit_codes.OK
    assert "stopped in" in shop.gigqd("stop").stdout
    assert shop.pid(**start) is None


@pytest.mark.fault("A24")
def test_a_daemon_of_another_project_in_the_same_place_is_refused(shop, blog, tmp_path):
    for project in (shop, blog):
        project.configure({"daemon.runtime_dir": str(tmp_path / "run")})
    pid = shop.start()

    commands = ("status", "start", "run", "reload", "pause", "stop", "restart")
    done = [blog.gigqd(word) for word in commands]

    assert [one.returncode for one in done] == [exit_codes.STATUS_UNKNOWN, *[75] * 6]
    for one in done:
        for project in (shop, blog):
            words = f'configuration {project.file}, database {project.database}, name "default"'
            assert words in one.stdout + one.stderr
    assert shop.pid() == pid


@pytest.mark.fault("A24")
@pytest.mark.parametrize("deleted", ["run", "run/gigqd.lock"])
def test_it_is_refused_also_while_its_files_are_deleted(shop, blog, tmp_path, deleted):
    for project in (shop, blog):
        project.configure({"daemon.runtime_dir": str(tmp_path / "run")})
    pid = shop.start()
    path = tmp_path / deleted
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    done = [blog.gigqd(word) for word in ("reload", "stop")]

    assert [one.returncode for one in done] == [exit_codes.ALREADY_RUNNING] * 2, done
    assert shop.pid() == pid


def test_a_daemon_itself_refuses_what_is_meant_for_another_one(shop, blog, tmp_path):
    shop.configure({"daemon.runtime_dir": str(tmp_path / "run")})
    pid = shop.start()
    place = DaemonConfig(runtime_dir=tmp_path / "run", working_directory=tmp_path)
    runtime_files = RuntimeFiles(place)
    runtime_files.identity = Identity(str(blog.file), str(blog.database), "default", ("", ""))

    client = Client(runtime_files)
    answers = [client.ask(command) for command in ("status", "reload", "pause", "stop")]

    assert {answer["code"] for answer in answers} == {exit_codes.ALREADY_RUNNING}
    assert all(str(runtime_files.identity) in answer["error"] for answer in answers)
    assert shop.pid() == pid


@pytest.mark.fault("A25")
@pytest.mark.parametrize(
    "change",
    [{"queue.database": "new.db"}, {"daemon.name": "mail"}, {"daemon.runtime_dir": "run"}],
)
def test_a_restart_after_a_change_of_the_place_replaces_the_daemon(shop, change):
    pid = shop.start()
    shop.configure(change)

    reached = shop.pid()
    restarted = shop.gigqd("restart")

    assert reached == pid
    assert "stopped in" in restarted.stdout
    assert "gigqd started" in restarted.stdout
    assert shop.pid() not in (None, pid)
    assert not _is_gigqd(pid)


@pytest.mark.parametrize("change", [{"queue.database": "new.db"}, {"daemon.name": "mail"}])
def test_a_start_beside_the_daemon_of_the_same_file_is_refused(shop, change):
    pid = shop.start()
    shop.configure(change)
    before = sorted(path.name for path in shop.home.iterdir())

    done = shop.gigqd("start")

    assert done.returncode == exit_codes.ALREADY_RUNNING
    assert f"gigqd (pid {pid}" in done.stderr
    assert "`gigqd restart` replaces it" in done.stderr
    assert sorted(path.name for path in shop.home.iterdir()) == before


def test_a_renamed_configuration_reaches_its_daemon(shop):
    pid = shop.start()
    renamed = shop.file.rename(shop.home / "production.toml")

    assert shop.pid(file=renamed) == pid
    assert shop.gigqd("stop", file=renamed).stdout.startswith("gigqd stopped")


def test_a_release_behind_a_link_reaches_the_daemon_of_the_one_before(projects, tmp_path):
    releases = [projects(tmp_path / name, {"queue.database": "../jobs.db"}) for name in "ab"]
    current = tmp_path / "current"
    current.symlink_to("a")
    pid = releases[0].gigqd("start", file=current / "gigq.toml") and releases[0].pid()
    current.unlink()
    current.symlink_to("b")
    for release in releases:
        release.configure({"queue.database": "../new.db"})

    assert releases[1].pid(file=current / "gigq.toml") == pid
    assert releases[1].gigqd("stop", file=current / "gigq.toml").stdout.startswith("gigqd stopped")


@pytest.mark.parametrize("share", [Path.symlink_to, Path.hardlink_to], ids=["link", "hard link"])
def test_two_projects_that_share_one_file_have_two_daemons(shop, blog, share):
    blog.file.unlink()
    share(blog.file, shop.file)
    pid = shop.start()

    before = [blog.gigqd(word).returncode for word in ("status", "reload", "stop")]
    other = blog.start()
    reached = [project.pid() for project in (shop, blog)]
    blog.gigqd("restart")

    assert before == [exit_codes.STATUS_STOPPED, exit_codes.NOT_RUNNING, exit_codes.OK]
    assert reached == [pid, other]
    assert shop.pid() == pid


def test_names_that_the_command_line_gives_are_daemons_of_their_own(shop):
    pids = [shop.start(), shop.start(GIGQD_DAEMON__NAME="mail")]

    shop.gigqd("--name", "mail", "stop")

    assert len(set(pids)) == 2
    assert shop.gigqd("--name", "mail", "status").returncode == exit_codes.STATUS_STOPPED
    assert shop.pid() == pids[0]


@only_root
@pytest.mark.root
def test_root_reaches_the_daemon_of_an_ordinary_account_and_a_third_account_does_not(
    projects, tmp_path
):
    open_up(tmp_path)
    python = interpreter_for("nobody")
    become = ("setpriv", "--reuid=65534", "--regid=nogroup", "--clear-groups")
    project = projects(tmp_path / "home", become=become, python=python)
    for path in (project.home, project.file):
        shutil.chown(path, "nobody", "nogroup")
    project.home.chmod(0o755)
    pid = project.start(XDG_RUNTIME_DIR=str(tmp_path))
    third = Project(project.home, become=("setpriv", "--reuid=2", "--clear-groups"), python=python)
    shutil.chown(project.file, "nobody", "nogroup")

    refused = [third.gigqd(word) for word in ("status", "stop")]
    reached = [project.pid(become=as_itself) for as_itself in (True, False)]
    reloaded = project.gigqd("reload", become=False)
    shutil.rmtree(f"{project.database}.gigqd")
    stopped = project.gigqd("stop", become=False)

    assert [done.returncode for done in refused] == [
        exit_codes.STATUS_UNKNOWN,
        exit_codes.NOT_PERMITTED,
    ]
    assert reached == [pid, pid]
    assert reloaded.returncode == exit_codes.OK, reloaded
    assert stopped.stdout.startswith("gigqd stopped"), stopped


# --- deleted files -------------------------------------------------------------------------------


@pytest.mark.fault("A23")
@pytest.mark.parametrize(
    "deleted",
    [("run", "jobs.db.gigq"), ("run",), ("jobs.db.gigq",), ("run/gigqd.lock",), ("run/gigqd.pid",)],
    ids="+".join,
)
def test_no_deletion_lets_a_second_daemon_in(daemons, deleted):
    daemon = daemons()
    daemon.submit(jobs.sleep_py, "long", {"seconds": 20})
    daemon.wait_for_calls("long")
    for name in deleted:
        path = daemon.home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    start = daemon.command("start", "--strict")
    run = daemon.command("run")
    status = daemon.command("status", "--timeout", "60")
    stopped = daemon.command("stop", "--now")

    assert [start.returncode, run.returncode] == [exit_codes.ALREADY_RUNNING] * 2
    assert f"pid {daemon.pid}" in start.stderr
    assert f"pid         {daemon.pid}," in status.stdout, status
    assert stopped.stdout.startswith("gigqd stopped"), stopped
    assert len(daemon.calls("long")) == 1


@pytest.mark.fault("A23")
def test_a_plain_start_beside_deleted_files_is_refused(daemons):
    daemon = daemons()
    os.kill(daemon.pid, signal.SIGSTOP)  # else it might have put them back before the start
    try:
        shutil.rmtree(daemon.runtime_files.directory)
        shutil.rmtree(f"{daemon.database}.gigq")
        start = daemon.command("start")
    finally:
        os.kill(daemon.pid, signal.SIGCONT)

    assert start.returncode == exit_codes.ALREADY_RUNNING
    assert "were deleted, and it puts them back in a few seconds" in start.stderr


TAKER = """
import signal, sys
from pathlib import Path
from gigqd.host import database_lock
database_lock.take(Path(sys.argv[1]), "default")
print("taken", flush=True)
signal.pause()
"""


@pytest.mark.fault("A23")
def test_a_daemon_whose_name_another_one_has_taken_ends_in_good_order(daemons):
    daemon = daemons()
    daemon.submit(jobs.sleep_py, "short", {"seconds": 0.5})
    daemon.wait_for_calls("short")
    shutil.rmtree(f"{daemon.database}.gigq")
    command = [sys.executable, "-c", TAKER, str(daemon.database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as taker:
        assert taker.stdout.readline() == "taken\n"

        code = daemon.wait_for_exit(20)
        taker.kill()

    assert code == exit_codes.ALREADY_RUNNING
    assert f"(pid {taker.pid}) already serves" in daemon.events("place_taken")[0]["error"]
    assert daemon.events("daemon_stopped")[0]["code"] == exit_codes.ALREADY_RUNNING
    assert len(daemon.calls("short")) == 1


def test_a_deleted_announcement_is_written_again(daemons):
    daemon = daemons()
    folder = Path(f"{daemon.database}.gigq")
    shutil.rmtree(folder)

    assert wait_until(lambda: list(folder.glob("daemon-*.json")))


# --- the configuration ---------------------------------------------------------------------------


def test_the_file_of_the_folder_is_found_and_a_missing_one_says_where_was_looked(shop, tmp_path):
    here = [sys.executable, "-m", "gigqd", "start"]
    environment = clean_environment()
    pid = shop.start()

    again = subprocess.run(here, cwd=shop.home, env=environment, capture_output=True, text=True)
    elsewhere = subprocess.run(here, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert (again.returncode, f"(pid {pid}, " in again.stdout) == (0, True), again
    assert elsewhere.returncode == exit_codes.BAD_CONFIG
    assert f"{tmp_path}/gigq.toml is not there" in elsewhere.stderr


@pytest.mark.parametrize("place", [{}, {"daemon.runtime_dir": "run"}], ids=["default", "run"])
@pytest.mark.parametrize("word", ["start", "run"])
def test_a_typo_in_the_folder_of_the_database_makes_nothing(shop, place, word):
    shop.configure({"queue.database": "typo/jobs.db", **place})

    check, done = shop.gigqd("check", "--db"), shop.gigqd(word)

    assert check.returncode == done.returncode == exit_codes.DATABASE_UNAVAILABLE
    sentence = f"{shop.home}/typo/jobs.db does not exist, and its folder does not exist"
    assert sentence in check.stderr
    assert sentence in done.stderr
    assert [path.name for path in shop.home.iterdir()] == ["gigq.toml"]


@only_root
@pytest.mark.root
@pytest.mark.parametrize(
    "command",
    [("gigqd", "status"), ("gigqd", "stop"), ("gigq", "stats"), ("gigq", "list")],
    ids=" ".join,
)
def test_each_command_of_root_says_that_it_does_not_read_the_file_of_the_folder(shop, command):
    shutil.chown(shop.file, "nobody")
    program, *words = command

    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        cwd=shop.home,
        env={**clean_environment(), "GIGQD_QUEUE__DATABASE": "other.db"},
        capture_output=True,
        text=True,
    )

    sentence = f"{program}: warning: {shop.file} is not read: root takes it only from root"
    assert done.stderr.count(sentence) == 1
