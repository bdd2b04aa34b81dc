"""A user's mistake ends in one clear line and an exit code, never in a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.shell import clean_environment

from gigq.cli import main

READING = [("list",), ("stats",), ("status", "x"), ("cancel", "x"), ("requeue", "x"), ("clear",),
           ("logs", "x")]  # fmt: skip

# Root may read and write everything, so it gives that up; for others there is nothing to give up.
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
prctl = ctypes.CDLL(None).prctl
for capability in (1, 2):
    prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "gigq", *sys.argv[1:]])
"""


def failed(done, code, *words):
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("gigq: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing_module.resize", "there is no module 'missing_module'"),
        ("shop.shrink", "has no function 'shrink'"),
        ("shop.risize", "has no function 'risize'; did you mean 'resize'?"),
        ("shop.py:risize", "has no function 'risize'; did you mean 'resize'?"),
        ("shpo.resize", "no module 'shpo' for shpo.resize; is it in the working directory or"),
        ("shop.not_a_function", "is not a function"),
        ("missing_module.py:resize", "there is no script"),
    ],
)
def test_a_function_that_is_not_there(shell, place, words):
    failed(shell.run("submit", place, "--name", "x"), 1, words)
    assert not (shell.folder / "gigq.db").exists()


@pytest.mark.parametrize("line", ["1 / 0", "import sys; sys.exit(0)", "import not_installed"])
def test_a_module_that_fails_when_it_is_imported(shell, line):
    (shell.folder / "broken.py").write_text(f"{line}\ndef work(): pass\n")

    failed(shell.run("submit", "broken.work", "--name", "x"), 1, "importing broken.work failed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resize", "--name", "x"), "is not MODULE.FUNCTION"),
        (("shop.resize", "--name", "x", "-p", "file"), "is not KEY=VALUE"),
        (("shop.resize", "--name", "x", "--timeout", "0"), "is not a number above 0"),
        (("shop.resize", "--name", "x", "--priority", "high"), "invalid int value"),
        (("shop.resize", "--name", "x", "--on-parent-failure", "cry"), "invalid choice"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(shell, arguments, words):
    done = shell.run("submit", *arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_value_that_no_job_may_have_is_a_usage_error(shell):
    failed(shell.run("submit", "shop.resize", "--name", "x", "--priority", "9" * 30), 2, "priority")


def test_a_missing_parent(shell):
    submit = ("submit", "shop.total", "--name", "x", "--depends-on", "nobody")

    failed(shell.run(*submit), 1, "nobody")


@pytest.mark.parametrize("command", READING)
def test_looking_never_makes_a_database(shell, command):
    failed(shell.run(*command, "--db", "typo.db"), 69, "there is no database", "typo.db")
    assert [p.name for p in shell.folder.iterdir()] == ["shop.py"]


@pytest.mark.parametrize("command", READING)
def test_a_file_that_is_no_database(shell, command):
    failed(shell.run(*command, "--db", "shop.py"), 69, "shop.py", "not a database")


def test_a_database_of_another_program_is_left_alone(shell):
    with closing(sqlite3.connect(shell.folder / "other.db")) as other:
        other.execute("CREATE TABLE places (name TEXT)")
    before = (shell.folder / "other.db").read_bytes()

    failed(shell.run("list", "--db", "other.db"), 69, "no queue in it")
    assert (shell.folder / "other.db").read_bytes() == before


def test_a_folder_is_no_database(shell):
    failed(shell.run("submit", "shop.resize", "--name", "x", "--db", "."), 69)
    failed(shell.run("list", "--db", "."), 69)


def test_a_database_in_a_folder_that_is_not_there(shell):
    failed(
        shell.run("submit", "shop.resize", "--name", "x", "--db", "no/such.db"), 69, "no/such.db"
    )


@pytest.mark.parametrize("address", ["mysql://me:secret@host/db", "postgresql+psycopg://host/db"])
def test_an_address_of_another_kind_of_server_is_refused(shell, address):
    done = shell.run("list", "--db", address)

    failed(done, 69, f"{address.partition('://')[0]}:// addresses are not supported")
    assert "secret" not in done.stderr


def test_a_file_that_belongs_to_others(shell):
    shell.submit()
    (shell.folder / "gigq.db").chmod(0)

    def run(*arguments):
        command = [sys.executable, "-c", WITHOUT_PRIVILEGE, *arguments]
        return subprocess.run(
            command, cwd=shell.folder, capture_output=True, text=True, check=False
        )

    failed(run("list"), 77, "gigq.db")
    failed(run("submit", "shop.resize", "--name", "x"), 77, "gigq.db")


def test_a_locked_database_is_waited_for_and_then_named(shell, monkeypatch, capsys):
    job_id = shell.submit()
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr("gigq.queue.JobQueue.lock_timeout", 0.05)
    with closing(sqlite3.connect("gigq.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        code = main(["cancel", job_id])

    assert code == 69
    assert "locked" in capsys.readouterr().err


def test_debug_shows_where(shell):
    for arguments in (("--debug", "list"), ("list", "--debug")):
        done = shell.run(*arguments)

        assert done.returncode == 69
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("gigq: there is no database")


def test_a_defect_of_gigq_is_called_one(shell, monkeypatch, capsys):
    shell.submit()
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr("gigq.queue.JobQueue.stats", lambda *_: 1 / 0)

    assert main(["stats"]) == 70
    assert capsys.readouterr().err.startswith("gigq: internal error: ZeroDivisionError")


def test_an_interrupt_has_the_shells_code(shell, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    shell.submit()
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr("gigq.queue.JobQueue.stats", interrupted)

    assert main(["stats"]) == 130


@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_the_command_alone_prints_its_help_and_is_a_usage_error(shell, program):
    done = shell.program(program)

    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"usage: {program}")
    assert "COMMAND" in done.stdout


@pytest.mark.parametrize(
    ("program", "wrong", "meant"),
    [("gigq", "lsit", "list"), ("gigq", "Status", "status"), ("gigqd", "relaod", "reload")],
)
def test_a_misspelt_command_is_answered_with_the_one_that_was_meant(shell, program, wrong, meant):
    done = shell.program(program, wrong)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is no command {wrong!r}; did you mean {meant!r}?" in done.stderr


def test_a_command_like_no_other_is_answered_with_where_they_are_listed(shell):
    assert "'xyzzy'; gigq --help lists them" in shell.run("xyzzy").stderr


@pytest.mark.parametrize("program", ["gigq", "gigqd"])
@pytest.mark.parametrize("words", [("nonsense", "--json"), ("status", "--json", "--lmit", "3")])
def test_a_wrong_command_line_is_answered_in_json_when_asked_for(shell, program, words):
    done = shell.program(program, *words)
    answer = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (2, "")
    assert (answer["ok"], answer["code"]) == (False, 2)
    assert answer["error"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list",), 69, "there is no database"),
        (("submit", "shop.resize", "--name", "x"), 2, "needs the parameter 'file'"),
        (
            ("submit", "missing_module.resize", "--name", "x"),
            1,
            "there is no module 'missing_module'",
        ),
    ],
)
def test_a_failure_is_answered_in_json_when_asked_for(shell, words, code, said):
    done = shell.run(*words, "--json")
    answer = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (code, "")
    assert (answer["ok"], answer["code"]) == (False, code)
    assert said in answer["error"]


def test_a_full_disk_is_reported(shell):
    shell.submit()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gigq", "list"],
            cwd=shell.folder,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 74
    assert os.strerror(28) in done.stderr


@pytest.mark.parametrize("arguments", [*READING, ("submit", "shop.resize", "--name", "x")])
def test_a_folder_is_not_a_database_and_the_remedy_is_to_name_a_file_in_it(shell, arguments):
    file = f"{shell.folder.resolve()}/gigq.db"
    failed(shell.run(*arguments, "--db", "."), 69, f"is a folder; name a file in it: {file}")


def test_a_pipe_is_not_a_database(shell):
    os.mkfifo(shell.folder / "pipe")

    failed(shell.run("worker", "--once", "--db", "pipe"), 69, "pipe is a FIFO and not a file")


@pytest.mark.parametrize("command", [("submit", "shop.greet", "--name", "a"), ("worker", "--once")])
def test_a_database_in_memory_is_refused_by_the_commands(shell, command):
    refused = shell.run("--db", ":memory:", *command)

    assert refused.returncode
    assert "':memory:' is not a path to a file" in refused.stderr


@pytest.mark.parametrize(
    ("address", "begin"),
    [
        (" postgresql://me:secret@host/db", "' postgresql://'"),
        ("jdbc:postgresql://me:secret@host/db", "'jdbc:postgresql://'"),
        ("postgresql:/me:secret@host/db", "'postgresql:'"),
        ("dbname=db password=secret", "'dbname='"),
        ("password = secret", "'password ='"),
        ("sslmode=require application_name=a dbname=secret", "'sslmode='"),
    ],
)
def test_an_address_with_a_mistake_is_no_name_of_a_file(shell, address, begin):
    before = sorted(shell.folder.iterdir())
    done = shell.run("submit", "os:getpid", "--name", "a", "--db", address)

    failed(done, 69, f"{begin} begins neither the path of a file nor an address")
    assert "secret" not in done.stderr
    assert sorted(shell.folder.iterdir()) == before
