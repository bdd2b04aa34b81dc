"""What went wrong with files, accounts and containers elsewhere, from public bug reports."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from support import jobs
from support import jobs_of_field_reports as reports
from support.calls import entries
from support.daemon import TESTS
from support.earlier_schemas import make_file
from support.given_away import NOBODY_UID, Host
from support.store_faults import (
    copy_of,
    files_of,
    integrity,
    wait_until_degraded,
    wait_until_running,
)
from support.waiting import wait_until

from gigq.store.sqlite.connections import close_connections
from gigq.store.sqlite.processes.run_locks import companion_path
from gigqd import exit_codes

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
SUBMIT = """
import os, sys
from gigq import Job, JobQueue
print(JobQueue(sys.argv[1]).submit(Job("elsewhere", os.getpid)))
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it for an account")


@contextmanager
def plain_worker(daemon):
    """Run `gigq worker` on the database of a daemon, and kill it."""
    command = [sys.executable, "-m", "gigq", "--db", str(daemon.database), "worker"]
    environment = {**daemon.environment, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            yield
        finally:
            worker.kill()


def submit_elsewhere(daemon):
    """Submit a job in a process of its own, which then ends."""
    command = [sys.executable, "-c", SUBMIT, str(daemon.database)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    close_connections()
    made.gigqd("stop", "--now")


# --- the database ----------------------------------------------------------------------------


def archiving(daemon):
    """Submit a job that archives the folder of the database; the function that lets it end."""
    job_id = daemon.submit(
        reports.archive_and_wait, "archive", {"database": str(daemon.database)}, max_attempts=2
    )
    close_connections()
    return job_id, Path(f"{daemon.ledger}.go").touch


@pytest.mark.fault("G21")
def test_a_job_that_archives_the_folder_of_its_database_is_not_run_again_beside_itself(daemons):
    """Neko-Catpital-Labs/Invoker#3468: a process copied its own open database, and broke it."""
    daemon = daemons(ONE, start=False)
    daemon.breaks("P4", "the calls of a plain worker bear another name")
    job_id, let_it_end = archiving(daemon)

    with plain_worker(daemon):
        wait_until(lambda: entries(daemon.ledger, "archived"))
        daemon.start()
        after = daemon.wait_for_job(daemon.submit(jobs.ok, "after"))
        calls = daemon.calls("archive")
        let_it_end()
        job = daemon.wait_for_job(job_id)

    assert after["status"] == job["status"] == "completed"
    assert len(calls) == job["attempts"] == 1


@pytest.mark.fault("G21")
def test_a_worker_whose_log_another_process_has_deleted_as_the_last_one_loses_nothing(daemons):
    """NousResearch/hermes-agent#90950: the log was deleted beside a process that wrote on in it."""
    daemon = daemons(start=False)
    daemon.breaks("P4", "the calls of a plain worker bear another name")
    job_id, let_it_end = archiving(daemon)

    with plain_worker(daemon):
        wait_until(lambda: entries(daemon.ledger, "archived"))
        elsewhere = submit_elsewhere(daemon)
        assert [path.name for path in files_of(daemon.database)] == ["jobs.db"]
        let_it_end()
        done = [daemon.wait_for_job(each)["status"] for each in (job_id, elsewhere)]

    assert done == ["completed"] * 2
    assert daemon.queue.stats()["completed"] == 2
    assert integrity(daemon.database) == "ok"


@pytest.mark.fault("G22")
def test_a_file_restored_beside_the_log_of_a_killed_daemon_is_refused_and_not_mixed_with_it(
    daemons,
):
    """vavallee/bindery#2337: the old log was played over the file that was restored."""
    daemon = daemons()
    daemon.breaks("P4", "what ran after the copy was made is in the ledger only")
    daemon.breaks("P6", "what was submitted after the copy was made is gone")
    first = daemon.submit(jobs.ok, "first")
    daemon.wait_for_job(first)
    copy = copy_of(daemon.database)
    for job_id in [daemon.submit(jobs.ok, f"later {number}") for number in range(20)]:
        daemon.wait_for_job(job_id)
    write_log_back(daemon.database)
    daemon.wait_for_job(daemon.submit(jobs.ok, "last"))
    kill_all(daemon)
    assert Path(f"{daemon.database}-wal").stat().st_size
    shutil.copy(copy, daemon.database)

    checked, started = daemon.command("check", "--db"), daemon.command("run")

    assert (checked.returncode, started.returncode) == (exit_codes.DATABASE_UNAVAILABLE,) * 2
    assert "move the -wal and the -shm away" in checked.stderr
    assert "move the -wal and the -shm away" in started.stderr
    assert daemon.database.read_bytes() == copy.read_bytes()
    for end in ("-wal", "-shm"):
        Path(f"{daemon.database}{end}").unlink()
    daemon.start()
    assert daemon.job(first)["status"] == "completed"
    assert integrity(daemon.database) == "ok"


def write_log_back(database):
    """Write the log into the file and begin it anew, as a checkpoint does."""

    def is_written():
        with closing(sqlite3.connect(database)) as writer:
            return writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)

    wait_until(is_written)


def kill_all(daemon):
    """Kill a daemon with its recorder and workers, so that the log stays beside the file."""
    close_without_writing_back(daemon)
    pids = [slot["pid"] for slot in daemon.status()["slots"]]
    daemon.kill()
    wait_until(lambda: not set(pids) & set(daemon.tagged_pids()))


def close_without_writing_back(daemon):
    """Close this process's connections while the daemon still has the file open."""
    assert daemon.alive
    close_connections()


@pytest.mark.fault("G11")
def test_a_migration_that_fails_again_and_again_leaves_no_copies_of_the_database(daemons):
    """fail2ban/fail2ban#2796: each restart made a backup of the file, then failed."""
    daemon = daemons(start=False)
    make_file(str(daemon.database), 5)
    with closing(sqlite3.connect(daemon.database)) as other, other:
        other.execute("ALTER TABLE job_executions ADD COLUMN returned_after REAL")
    before = daemon.database.read_bytes()

    codes = {daemon.command("run").returncode for _ in range(3)}
    others = set(daemon.home.glob("jobs*")) - set(files_of(daemon.database))

    assert codes == {exit_codes.DATABASE_UNAVAILABLE}
    assert others == {companion_path(daemon.database)}
    assert daemon.database.read_bytes() == before


@pytest.mark.fault("G10")
def test_a_deleted_log_is_noticed_where_the_database_is_reached_through_a_link(daemons):
    """NousResearch/hermes-agent#116450: the kernel names the real file, the guard knew the link."""
    daemon = daemons(start=False)
    (daemon.home / "release-1").mkdir()
    (daemon.home / "current").symlink_to("release-1")
    daemon.database = daemon.home / "current" / "jobs.db"
    daemon.configure({"queue.database": str(daemon.database)})
    daemon.start()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    log = daemon.home / "release-1" / "jobs.db-wal"
    away = log.rename(daemon.home / "away")

    wait_until_degraded(daemon, "release-1/jobs.db-wal was deleted or moved away")
    assert not log.exists()
    away.rename(log)

    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


@pytest.mark.fault("G10")
def test_an_index_that_is_moved_away_stops_all_claims_until_it_is_back(daemons):
    """nfrastack/db-backup#423: a backup deleted the -shm of a database in use."""
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    index = Path(f"{daemon.database}-shm")
    away = index.rename(daemon.home / "away")

    wait_until_degraded(daemon, "jobs.db-shm was deleted or moved away")
    away.rename(index)

    wait_until_running(daemon)
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"
    assert integrity(daemon.database) == "ok"


# --- accounts --------------------------------------------------------------------------------


def test_what_a_daemon_writes_is_closed_to_other_accounts_whatever_the_umask(launched):
    """Icinga/icinga2#9027: the log could be read by every account, and passwords were in it."""
    daemon = launched(ONE)

    started = subprocess.run(
        [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "start"],
        env=daemon.environment,
        umask=0,
        capture_output=True,
        text=True,
    )
    daemon.wait_for_job(daemon.submit(jobs.ok, "job"))
    made = [path for path in daemon.home.rglob("*") if path != daemon.config_path]
    open_to_others = [path.name for path in made if path.lstat().st_mode & 0o007]

    assert started.returncode == 0, started.stderr
    assert {"gigqd.log", "gigqd.sock", "jobs.db", "jobs.db-wal"} <= {path.name for path in made}
    assert open_to_others == []


@only_root
@pytest.mark.root
def test_a_start_by_the_wrong_account_after_a_kill_changes_nothing(host):
    """rqlite/rqlite#1010: started by root, killed, started by another: the file was empty."""
    host.configure({"daemon.user": None, "daemon.runtime_dir": str(host.roots / "run")})
    started = host.gigqd("start")
    job = host.job_after(os.getpid)
    close_connections()
    kill_family(host.roots / "run" / "gigqd.pid")
    before = {path.name: path.read_bytes() for path in files_of(host.home / "jobs.db")}
    host.configure()

    refused = host.gigqd("start")
    after = {path.name: path.read_bytes() for path in files_of(host.home / "jobs.db")}
    host.configure({"daemon.user": None, "daemon.runtime_dir": str(host.roots / "run")})
    again = host.gigqd("start")

    assert (started.returncode, again.returncode) == (0, 0), (started.stderr, again.stderr)
    assert refused.returncode == exit_codes.NOT_PERMITTED, refused.stderr
    assert after == before
    assert host.queue.get_status(job["id"])["status"] == "completed"


def pid_in(file):
    return int(file.read_text().splitlines()[0])


def kill_family(pid_file):
    """Kill a daemon and its children as the kernel does at the end of a control group."""
    supervisor = psutil.Process(pid_in(pid_file))
    family = [supervisor, *supervisor.children(recursive=True)]
    for process in family:
        process.kill()
    # Another test may have made this process a subreaper: then dead processes stay as zombies.
    wait_until(lambda: not any(lives(process) for process in family))


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@only_root
@pytest.mark.root
def test_a_job_has_the_groups_of_its_account_and_none_of_roots(host):
    """Supervisor/supervisor#1286: a program had the account's first group only."""
    started = host.gigqd("start", groups=[0, 4711])
    job = host.job_after(os.getgroups)

    assert started.returncode == 0, started.stderr
    assert sorted(job["result"]) == sorted(os.getgrouplist("nobody", NOBODY_UID))


@only_root
@pytest.mark.root
def test_a_start_in_a_folder_that_the_account_may_not_enter_is_no_obstacle(host):
    """celery/celery#1235: started in /root, the worker failed when it looked where it is."""
    closed = host.folder(host.roots / "closed", 0)
    closed.chmod(0o700)
    host.configure({"daemon.working_directory": None})

    started = host.gigqd("start", cwd=closed)
    job = host.job_after(os.getcwd)

    assert started.returncode == 0, started.stderr
    assert job["result"] == str(host.config.parent)


@only_root
@pytest.mark.root
def test_a_log_that_root_has_rotated_is_written_on_by_the_account(host):
    """benoitc/gunicorn#1116: the new log was root's, and those who had become another failed."""
    log = host.roots / "gigqd.log"
    host.configure(file=str(log))
    started = host.gigqd("start")
    pid = pid_in(host.run / "gigqd.pid")
    old = log.rename(host.roots / "gigqd.log.1")
    log.touch(mode=0o600)

    os.kill(pid, signal.SIGUSR1)
    paused = host.gigqd("pause")
    wait_until(lambda: '"event": "paused"' in old.read_text())
    os.chown(log, NOBODY_UID, NOBODY_UID)
    resumed = host.gigqd("resume")
    wait_until(lambda: '"event": "resumed"' in log.read_text())

    assert [each.returncode for each in (started, paused, resumed)] == [0, 0, 0]
    assert pid == pid_in(host.run / "gigqd.pid")


# --- containers ------------------------------------------------------------------------------


def test_a_container_that_is_started_again_with_the_same_process_ids_takes_its_jobs_up(daemons):
    """oban-bg/oban#862: the new process had the name of the old one, so its job ran for ever."""
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("this account may not make a pid namespace")
    daemon = daemons(ONE, start=False)
    job_id = daemon.submit(
        jobs.wait_for_file, "job", {"path": str(daemon.home / "go")}, max_attempts=2
    )
    with container(daemon, apart):
        daemon.wait_for_calls("job")
    (daemon.home / "go").touch()
    with container(daemon, apart):
        job = daemon.wait_for_job(job_id, within=60.0)  # its locks are new: see decision 17

    assert job["status"] == "completed"
    assert [each["cause"] for each in job["executions"]] == ["lost", None]


@contextmanager
def container(daemon, apart):
    """Run a daemon as the first process of a pid namespace, and kill all that is in it."""
    with subprocess.Popen(
        [*apart, sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"],
        env=daemon.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as outermost:
        try:
            yield
        finally:
            outermost.kill()
            wait_until(lambda: not daemon.tagged_pids())
