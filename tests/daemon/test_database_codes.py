"""One table of exit codes for databases that cannot be used: `check --db` and `start` agree."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.configs import clean_environment
from support.files import names_in, open_up
from support.old_files import OldFile

from gigqd import exit_codes

pytestmark = pytest.mark.daemon

USER = "nobody"


def damaged(daemon):
    daemon.database.write_bytes(b"this is no database, but long enough to be one" * 99)


def a_folder_in_its_place(daemon):
    daemon.database.mkdir()


def a_pipe_in_its_place(daemon):
    os.mkfifo(daemon.database)


def a_device_in_its_place(daemon):
    daemon.database.symlink_to("/dev/null")


def a_folder_that_is_missing(daemon):
    daemon.configure({"queue.database": str(daemon.home / "none" / "jobs.db")})


def a_file_for_its_folder(daemon):
    (daemon.home / "file").touch()
    daemon.configure({"queue.database": str(daemon.home / "file" / "jobs.db")})


def a_newer_schema(daemon):
    daemon.queue.stats()
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as future:
        future.execute("INSERT INTO gigq_schema(version, applied_at) VALUES (999, 'tomorrow')")


def an_old_file_with_a_column_in_the_way(daemon):
    OldFile(str(daemon.database))
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as program:
        program.execute("ALTER TABLE jobs ADD COLUMN queue TEXT")


@pytest.mark.fault("G10", "G11")
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (an_old_file_with_a_column_in_the_way, exit_codes.BAD_CONFIG),
        (damaged, exit_codes.DATABASE_UNAVAILABLE),
        (a_folder_in_its_place, exit_codes.DATABASE_UNAVAILABLE),
        (a_pipe_in_its_place, exit_codes.DATABASE_UNAVAILABLE),
        (a_device_in_its_place, exit_codes.DATABASE_UNAVAILABLE),
        (a_folder_that_is_missing, exit_codes.DATABASE_UNAVAILABLE),
        (a_file_for_its_folder, exit_codes.DATABASE_UNAVAILABLE),
        (a_newer_schema, exit_codes.BAD_CONFIG),
    ],
)
def test_check_has_the_exit_code_that_a_start_would_have(launched, spoil, code):
    daemon = launched({"daemon.start_timeout": "2s"})
    spoil(daemon)

    commands = ("check --db", "start", "run")
    check, start, run = (daemon.command(*c.split()) for c in commands)

    assert (check.returncode, start.returncode, run.returncode) == (code, code, code)
    for done in (check, start, run):
        assert re.search("jobs.db|999|/dev/null", done.stdout + done.stderr), done
        assert "internal error" not in done.stderr


def test_check_names_a_queue_of_gigq_0_5_1_and_does_not_upgrade_it(launched):
    daemon = launched()
    OldFile(str(daemon.database)).job("one")
    daemon.database.chmod(0o600)

    check = daemon.command("check", "--db")

    assert check.returncode == exit_codes.OK, check
    assert "GigQ 0.5.1" in check.stdout
    assert b"gigq_schema" not in daemon.database.read_bytes()


@pytest.mark.parametrize("command", ["start", "run"])
def test_nothing_is_made_beside_what_can_be_no_database(launched, command):
    daemon = launched()
    elsewhere = daemon.home / "elsewhere"
    elsewhere.mkdir()
    os.mkfifo(elsewhere / "pipe")
    daemon.database.symlink_to(elsewhere / "pipe")

    assert daemon.command(command).returncode == exit_codes.DATABASE_UNAVAILABLE
    assert names_in(elsewhere) == ["pipe"]


@pytest.mark.long
@pytest.mark.fault("G2")
def test_a_locked_database_has_the_code_of_one_that_cannot_be_used(launched):
    daemon = launched({"daemon.start_timeout": "2s", "queue.lock_timeout": "1s"})

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("PRAGMA journal_mode = WAL")
        blocker.execute("BEGIN EXCLUSIVE")
        check = daemon.command("check", "--db")
        start = daemon.command("start")

    assert (check.returncode, start.returncode) == (69, 69), start
    assert "locked" in check.stderr
    assert "locked" in start.stderr, start


@pytest.mark.parametrize("limit", [7, 12, 64])
@pytest.mark.parametrize("command", ["start", "run"])
def test_a_start_with_too_few_open_files_says_so_at_once(launched, limit, command):
    daemon = launched({"daemon.start_timeout": "10m"})
    gigqd = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), command]

    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *gigqd],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == exit_codes.CANNOT_FORK, done
    assert re.search("open files are needed for|Too many open files", done.stderr)
    assert "internal error" not in done.stderr


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize("make", [True, False])
def test_check_by_root_knows_that_a_start_gives_the_folder_to_the_account(daemons, make):
    folder = "empty" if make else "missing"
    daemon = daemons({"queue.database": f"{folder}/jobs.db", "daemon.user": USER}, start=False)
    open_up(daemon.home)
    if make:
        (daemon.home / folder).mkdir()

    check = daemon.command("check", "--db")

    assert check.returncode == exit_codes.OK, check
    assert f"the first start by root gives {USER} its folder" in check.stdout
    assert (daemon.home / folder).exists() == make
    shutil.rmtree(daemon.home / folder, ignore_errors=True)
