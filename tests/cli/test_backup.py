"""`gigq backup`"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from support.shell import clean_environment
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigq.errors import BackupRefused
from gigq.store import backup as backup_module
from gigq.store.backup import back_up


@pytest.fixture
def queue_file(shell):
    """A database with two jobs, of which one has been run."""
    shell.submit()
    shell.submit()
    shell.out("worker", "--once")
    return shell.folder / "gigq.db"


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def ids_in(file):
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {job_id for (job_id,) in connection.execute("SELECT id FROM jobs")}


def big(file, megabytes):
    """Make the database so large that copying it takes a while."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE ballast (bytes)")
        connection.executemany(
            "INSERT INTO ballast VALUES (?)", ((os.urandom(2**20),) for _ in range(megabytes))
        )


def test_the_copy_is_a_queue_with_every_job(shell, queue_file):
    said = shell.out("backup", "copy.db")
    copied = shell.out("list", "--json", "--db", "copy.db")

    assert said.startswith("Backed up gigq.db to copy.db: 2 jobs, ")
    assert copied == shell.out("list", "--json")


def test_the_copy_is_private_and_nothing_else_is_left(shell, queue_file):
    before = names_in(shell.folder)
    shell.out("backup", "copy.db")

    assert (shell.folder / "copy.db").stat().st_mode & 0o777 == 0o600
    assert names_in(shell.folder) - before <= {"copy.db", "gigq.db-wal", "gigq.db-shm"}


def test_the_json_tells_what_was_copied(shell, queue_file):
    printed = shell.json("backup", "copy.db")
    size = (shell.folder / "copy.db").stat().st_size

    assert printed.pop("seconds") > 0
    assert printed == {
        "database": "gigq.db",
        "backup": f"{shell.folder}/copy.db",
        "bytes": size,
        "rows": {"jobs": 2, "job_executions": 1, "job_dependencies": 0},
        "verified": True,
    }


def test_a_backup_among_busy_writers_has_all_that_was_accepted_before_it_began(shell, queue_file):
    worker = subprocess.Popen(
        [sys.executable, "-m", "gigq", "worker", "--polling-interval", "0.01"],
        cwd=shell.folder,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    accepted, enough = [], threading.Event()

    def submit():
        queue = JobQueue(queue_file)
        while not enough.is_set():
            accepted.append(queue.submit(a_job()))
        queue.close()

    submitters = [threading.Thread(target=submit) for _ in range(2)]
    try:
        for thread in submitters:
            thread.start()
        for number in range(5):
            enough_more = len(accepted) + 20
            wait_until(lambda aim=enough_more: len(accepted) > aim)
            before = set(accepted)
            back_up(queue_file, shell.folder / f"copy{number}.db", force=False)
            copied = ids_in(shell.folder / f"copy{number}.db")

            assert before <= copied
    finally:
        enough.set()
        for thread in submitters:
            thread.join()
        worker.terminate()
        worker.wait()


def test_what_is_written_while_it_copies_is_not_in_it(shell, queue_file, monkeypatch):
    late = []
    room = backup_module._refuse_without_room

    def after_the_snapshot(reader, unfinished):
        room(reader, unfinished)
        with closing(JobQueue(queue_file)) as queue:
            late.append(queue.submit(a_job()))

    monkeypatch.setattr(backup_module, "_refuse_without_room", after_the_snapshot)
    back_up(queue_file, shell.folder / "copy.db", force=False)

    assert late[0] not in ids_in(shell.folder / "copy.db")


def test_a_file_that_another_process_makes_meanwhile_is_not_replaced(
    shell, queue_file, monkeypatch
):
    copy = shell.folder / "copy.db"
    verify = backup_module._verify

    def made_meanwhile(*arguments):
        verify(*arguments)
        copy.write_text("of another process")

    monkeypatch.setattr(backup_module, "_verify", made_meanwhile)
    with pytest.raises(BackupRefused, match="is there already"):
        back_up(queue_file, copy, force=False)

    assert copy.read_text() == "of another process"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gigq.db", "belongs to the database itself"),
        ("./gigq.db-wal", "belongs to the database itself"),
        ("gigq.db.gigq/copy.db", "belongs to the database itself"),
        ("link.db", "belongs to the database itself"),
        ("hard.db", "belongs to the database itself"),
        ("there.db", "is there already; name another file, or use --force"),
        ("folder", "is a folder; name a file in it: folder/jobs.db"),
        ("missing/copy.db", "there is no folder"),
        ("used.db", "used.db-wal is there"),
        ("pipe", "is not a file"),
        ("mysql://host/x", "is not the name of a file"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_touched(shell, queue_file, target, said):
    folder = shell.folder
    (folder / "link.db").symlink_to("gigq.db")
    (folder / "hard.db").hardlink_to(queue_file)
    (folder / "there.db").write_text("precious")
    (folder / "used.db-wal").write_text("log")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    before = names_in(folder)
    done = shell.run("backup", target, *(["--force"] if "there" not in target else []))

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert names_in(folder) - before <= {"gigq.db-wal", "gigq.db-shm"}
    assert (folder / "there.db").read_text() == "precious"


def test_force_replaces_a_file(shell, queue_file):
    (shell.folder / "copy.db").write_text("an old one")
    shell.out("backup", "--force", "copy.db")

    assert len(ids_in(shell.folder / "copy.db")) == 2


def test_a_full_disk_leaves_nothing(shell, queue_file):
    big(queue_file, 4)
    before = names_in(shell.folder)
    limited = f"ulimit -f 1024; exec {sys.executable} -m gigq backup copy.db"
    done = subprocess.run(
        ["bash", "-c", limited],
        cwd=shell.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 74
    assert "copy.db cannot be written" in done.stderr
    assert names_in(shell.folder) - before <= {"gigq.db-wal", "gigq.db-shm"}


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(shell, queue_file, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(backup_module.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(OSError, match="has room for 1000; make room"):
        back_up(queue_file, shell.folder / "copy.db", force=False)

    assert not [name for name in names_in(shell.folder) if "copy" in name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(shell, queue_file, number):
    big(queue_file, 64)
    before = names_in(shell.folder)
    copying = subprocess.Popen(
        [sys.executable, "-m", "gigq", "backup", "copy.db"],
        cwd=shell.folder,
        env=clean_environment(),
    )
    wait_until(lambda: list(shell.folder.glob(".copy.db.*.unfinished")))
    copying.send_signal(number)

    assert copying.wait() == 130
    assert names_in(shell.folder) - before <= {"gigq.db-wal", "gigq.db-shm"}


def test_a_damaged_database_gives_no_backup(shell, queue_file):
    big(queue_file, 1)
    with closing(sqlite3.connect(queue_file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_age'"
        ).fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    with queue_file.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * 64)
    done = shell.run("backup", "copy.db")

    assert done.returncode == 69
    assert "damaged" in done.stderr
    assert not [name for name in names_in(shell.folder) if "copy" in name]


def test_a_missing_database_is_reported_and_not_made(shell):
    done = shell.run("backup", "copy.db")

    assert done.returncode == 69
    assert "there is no database gigq.db" in done.stderr
    assert names_in(shell.folder) == {"shop.py"}


@pytest.mark.parametrize(
    "words", [("copy.db", "--db", "postgresql://host/jobs"), ("postgresql://host/jobs",)]
)
def test_a_postgresql_address_is_refused_with_what_to_use_instead(shell, words):
    done = shell.run("backup", *words)

    assert done.returncode == 2
    assert done.stderr == "gigq: gigq backup copies an SQLite file; for PostgreSQL use pg_dump\n"


def a_job():
    return Job(name="one more", function=json.dumps, params={"obj": 1})
