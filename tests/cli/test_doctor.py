"""`gigq doctor`"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.old_files import OldFile
from support.other_user import SEARCH_PATH, interpreter_for
from support.shell import Shell, clean_environment
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigq.store.doctor.inspection import gather
from gigq.store.statements import read_only_statements


@pytest.fixture
def file(shell):
    """A database with one pending job."""
    shell.submit()
    return shell.folder / "gigq.db"


def examined(shell, *options):
    """The exit code, and the findings by check."""
    done = shell.run("doctor", "--json", *options)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    return done.returncode, {one["check"]: one for one in report["findings"]}, report


def everything_in(folder):
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
        if path.name.startswith("gigq") and path.is_file() and not path.name.endswith("-shm")
    }


def test_a_healthy_queue_gets_0_and_no_advice_but_notes(shell, file):
    code, found, report = examined(shell)

    assert code == 0
    assert report["worst"] in ("ok", "note")
    assert {one["severity"] for one in found.values()} <= {"ok", "note"}
    assert found["jobs"]["found"].startswith("1 jobs, 1 due, 0 delayed")
    assert report["facts"]["counts"]["finished"] == 0


def test_the_text_says_the_same_as_the_json(shell, file):
    lines = shell.out("doctor").splitlines()
    _, found, _ = examined(shell)

    assert [line.split()[:2] for line in lines if not line.startswith(" ")] == [
        [one["severity"], check] for check, one in found.items()
    ]


@pytest.mark.parametrize("options", [[], ["--quick"], ["--integrity"]])
def test_it_changes_nothing_and_makes_nothing(shell, file, options):
    before = everything_in(shell.folder)
    shell.out("doctor", *options)

    assert everything_in(shell.folder) == before
    assert not (shell.folder / "gigq.db-wal").exists()
    assert not (shell.folder / "gigq.db-shm").exists()


def test_it_reads_what_a_killed_process_left_in_the_log_and_leaves_it_there(shell, file):
    code = (
        "import os, json\nfrom gigq import Job, JobQueue\n"
        "JobQueue('gigq.db').submit(Job(name='x', function=json.dumps, params={'obj': 1}))\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=shell.folder, check=False)
    before = everything_in(shell.folder)
    _, found, _ = examined(shell)

    assert found["jobs"]["found"].startswith("2 jobs")
    assert "gigq.db-wal" in before
    assert everything_in(shell.folder) == before


def test_a_missing_file_is_reported_and_not_made(shell):
    done = shell.run("doctor")

    assert done.returncode == 69
    assert "there is no database gigq.db" in done.stderr
    assert not list(shell.folder.glob("gigq.db*"))


def test_a_log_without_its_file_is_reported(shell):
    (shell.folder / "gigq.db-wal").write_bytes(b"log")

    assert "gigq.db-wal is there: put the file back" in shell.run("doctor").stderr


@pytest.mark.parametrize("name", [".", "/dev/null"])
def test_what_is_no_file_is_refused(shell, name):
    assert shell.run("doctor", "--db", name).returncode == 69


def test_a_file_that_is_no_database_is_a_problem(shell):
    (shell.folder / "gigq.db").write_text("no database at all" * 100)
    code, found, _ = examined(shell)

    assert code == 1
    assert found["database"]["severity"] == "problem"


def test_another_programs_database_is_a_problem(shell):
    with closing(sqlite3.connect(shell.folder / "gigq.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    code, found, _ = examined(shell)

    assert (code, found["database"]["found"]) == (1, "there is no queue in it")


def damage(file, index):
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)
        ).fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * page)
        opened.write(b"\xff" * 64)


@pytest.mark.parametrize("index", ["jobs_by_age", "job_executions_of"])
@pytest.mark.parametrize("option", ["--quick", "--integrity"])
def test_a_damaged_page_is_found_on_request(shell, file, option, index):
    damage(file, index)
    code, found, _ = examined(shell, option)

    assert (code, found["integrity"]["severity"]) == (1, "problem")
    assert "restore a backup" in found["integrity"]["remedy"]


def test_without_the_request_no_page_is_checked(shell, file):
    damage(file, "jobs_by_age")
    _, found, _ = examined(shell)

    assert "integrity" not in found


def test_a_row_that_an_index_lacks_is_found_by_integrity(shell, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        was = connection.execute(
            "SELECT * FROM sqlite_master WHERE name = 'jobs_by_age'"
        ).fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'jobs_by_age'")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM jobs")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", was)
    code, found, _ = examined(shell, "--integrity")

    assert (code, found["integrity"]["severity"]) == (1, "problem")


@contextmanager
def reading(file):
    """A reader in a process of its own, in the middle of a transaction."""
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect('gigq.db', isolation_level=None)\n"
        "c.execute('BEGIN'); c.execute('SELECT count(*) FROM jobs').fetchone()\n"
        "print('reading', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=file.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.communicate()


def test_a_log_that_a_reader_keeps_long_is_a_warning_that_names_the_reader(shell, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        with reading(file) as pid:
            writer.execute("CREATE TABLE ballast (bytes)")
            writer.execute("INSERT INTO ballast VALUES (zeroblob(20000000))")
            code, found, _ = examined(shell)

            assert (code, found["wal"]["severity"]) == (1, "warning")
            assert f"processes {pid} are reading" in found["wal"]["found"]


@pytest.mark.parametrize(
    ("mode", "severity", "said"),
    [
        (0o644, "warning", "every account may read"),
        (0o666, "problem", "every account may write"),
        (0o600, "ok", "0600"),
    ],
)
def test_rights_of_the_file(shell, file, mode, severity, said):
    file.chmod(mode)
    _, found, _ = examined(shell)

    assert found["permissions"]["severity"] == severity
    assert said in found["permissions"]["found"]


def test_a_folder_in_which_every_account_may_write_is_a_warning(shell, file):
    shell.folder.chmod(0o777)

    assert examined(shell)[1]["permissions"]["severity"] == "warning"


def test_a_second_name_is_a_warning(shell, file):
    (shell.folder / "other.db").hardlink_to(file)

    assert "2 names" in examined(shell)[1]["permissions"]["found"]


def test_a_newer_schema_is_a_problem(shell, file):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO gigq_schema (version, applied_at, usable_from)"
            " VALUES (99, '2026-01-01', 99)"
        )
    code, found, _ = examined(shell)

    assert (code, found["schema"]["severity"]) == (1, "problem")


def test_a_file_of_an_old_gigq_is_a_note_and_stays_one(shell):
    file = shell.folder / "gigq.db"
    OldFile(str(file)).job("one")
    file.chmod(0o600)
    before = file.read_bytes()
    code, found, _ = examined(shell)

    assert (code, found["schema"]["severity"]) == (0, "note")
    assert "GigQ 0.5.1" in found["schema"]["found"]
    assert "GigQ 0.5.1 must not use it then" in found["schema"]["remedy"]
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("ALTER TABLE jobs ADD COLUMN queue TEXT", "column jobs.queue"),
        (
            "CREATE TRIGGER odd AFTER UPDATE ON jobs BEGIN SELECT count(*) FROM missing; END",
            "trigger",
        ),
    ],
)
def test_a_file_of_an_old_gigq_that_will_be_refused_is_a_problem(shell, added, named):
    file = shell.folder / "gigq.db"
    OldFile(str(file)).job("one")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(added)
    file.chmod(0o600)
    before = file.read_bytes()
    code, found, _ = examined(shell)

    assert (code, found["schema"]["severity"]) == (1, "problem")
    assert named in found["schema"]["found"]
    assert str(file) in found["schema"]["found"]
    assert file.read_bytes() == before


def test_a_job_that_nobody_runs_is_a_warning_after_a_minute(shell, file):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE jobs SET updated_at = '2020-01-01T00:00:00.000000+00:00'")
    code, found, _ = examined(shell)

    assert (code, found["oldest"]["severity"]) == (1, "warning")
    assert "queue default" in found["oldest"]["found"]
    assert "no process runs jobs" in found["oldest"]["remedy"]


def test_the_oldest_is_found_among_all_queues_and_priorities(tmp_path):
    with closing(JobQueue(tmp_path / "q.db")) as queue:
        for number in range(40):
            queue.submit(Job("x", print, queue=f"q{number % 3}", priority=number % 5))
        oldest = {
            name: min(job["updated_at"] for job in queue.list_jobs() if job["queue"] == name)
            for name in ("q0", "q1", "q2")
        }
    found = gather(tmp_path / "q.db").content

    assert {one.queue: one.since for one in found.waiting} == oldest


@pytest.mark.parametrize(
    "look", ["longest_due", "number_of_due", "number_of_delayed", "overdue_since"]
)
def test_a_look_at_the_waiting_jobs_reads_no_finished_ones(file, look):
    with closing(sqlite3.connect(file)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {read_only_statements()[look]}", {"now": ""}
        ).fetchall()
    walked = [step for *_, step in plan if step.endswith("jobs") or "USING" in step]

    assert walked
    assert all("jobs_due" in step or "jobs_delayed" in step or "rowid=?" in step for step in walked)


def test_a_worker_that_runs_is_seen_and_one_that_is_gone_is_reported(shell, file):
    (shell.folder / "naps.py").write_text("import time\n\ndef nap():\n    time.sleep(600)\n")
    shell.submit("naps.nap", "--priority", "9")
    worker = subprocess.Popen(
        [sys.executable, "-m", "gigq", "worker", "--polling-interval", "0.05"],
        cwd=shell.folder,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: shell.json("stats")["running"] == 1)
    _, alive, _ = examined(shell)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    code, dead, report = examined(shell)

    assert alive["workers"]["found"] == f"jobs are run by worker {worker.pid}"
    assert "lost" not in alive
    assert (code, dead["lost"]["severity"]) == (1, "warning")
    assert (report["facts"]["gone"], report["facts"]["counts"]["running"]) == (1, 1)


def test_what_takes_too_long_to_count_is_left_out_and_said(shell, file, monkeypatch):
    monkeypatch.setattr("gigq.store.doctor.inspection.BUDGET", -1)
    monkeypatch.setattr("gigq.store.doctor.inspection._STEPS_A_LOOK", 1)

    assert gather(file).content.counts == {}


def test_a_daemon_that_serves_the_file_is_named(shell, daemons):
    daemon = daemons()
    _, found, _ = examined(shell, "--db", str(daemon.queue.db_path))

    assert found["workers"]["found"] == f"jobs are run by gigqd {daemon.pid}"


@pytest.fixture
def public():
    """A shell in a folder that every account may read, with a queue."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another account")
    with TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        shell.folder.chmod(0o755)
        (shell.folder / "shop.py").write_text("def resize(file):\n    return file\n")
        shell.submit()
        yield shell


def as_nobody(shell, *arguments):
    """`gigq` in the folder as a user who owns nothing there."""
    become = ["setpriv", "--reuid=65534", "--clear-groups", interpreter_for("nobody")]
    return subprocess.run(
        [*become, "-m", "gigq", *arguments],
        cwd=shell.folder,
        env=clean_environment(PYTHONPATH=SEARCH_PATH),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_that_this_user_may_not_read_is_reported(public):
    done = as_nobody(public, "doctor")

    assert done.returncode == 77
    assert "gigq.db may not be read by this user; it belongs to user 0" in done.stderr


def test_a_file_in_a_folder_that_this_user_may_not_enter_is_reported(public, file):
    done = as_nobody(public, "doctor", "--db", str(file))

    assert done.returncode == 77
    assert "cannot be reached by this user (Permission denied)" in done.stderr


def test_a_user_who_may_only_read_gets_what_can_be_seen(public):
    (public.folder / "gigq.db").chmod(0o644)
    done = as_nobody(public, "doctor")

    assert (done.returncode, done.stderr) == (1, "")
    assert "this user may not write the file" in done.stdout
    assert "1 jobs, 1 due" in done.stdout
