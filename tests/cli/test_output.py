"""How answers reach a terminal, a pipe and a file."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios

import pytest
from support.shell import clean_environment

import gigq

ESCAPE = "\x1b"


def on_a_terminal(shell, *arguments, columns, **environment):
    """What a command prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "gigq", *arguments],
        cwd=shell.folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=clean_environment(**{"TERM": "xterm"} | environment),
    ) as process:
        os.close(follower)
        printed = everything_from(leader)
    assert process.returncode == 0
    return printed.replace("\r\n", "\n")


def everything_from(leader):
    chunks = []
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        while True:
            try:
                chunk = terminal.read(4096)
            except OSError:  # the other side has closed the terminal
                break
            chunks.append(chunk)
    return b"".join(chunks).decode()


def test_a_status_is_coloured_on_a_terminal(shell):
    shell.out("cancel", shell.submit())

    assert f"{ESCAPE}[33mcancelled{ESCAPE}[0m" in on_a_terminal(shell, "list", columns=200)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_refused(shell, environment):
    shell.out("cancel", shell.submit())

    assert ESCAPE not in on_a_terminal(shell, "list", columns=200, **environment)


def test_there_is_no_colour_in_a_pipe(shell):
    shell.out("cancel", shell.submit())

    assert ESCAPE not in shell.out("list") + shell.out("stats")


def test_a_table_fits_the_terminal_and_keeps_the_id_whole(shell):
    job_id = shell.submit("shop.resize", "--name", "a name that is much too long for this " * 3)
    for columns in (80, 100, 160):
        lines = on_a_terminal(shell, "list", columns=columns, NO_COLOR="1").splitlines()

        assert max(map(len, lines)) <= columns
        assert job_id in lines[3]


def test_a_table_in_a_pipe_is_whole(shell):
    name = "a name that is much too long for a terminal " * 5
    shell.submit("shop.resize", "--name", name)

    assert name in shell.out("list")


def test_a_job_cannot_write_to_the_terminal(shell):
    evil = f"{ESCAPE}]0;owned\x07{ESCAPE}[2J\u202e\x9b31m\nforged line"
    job_id = shell.submit("shop.resize", "--name", evil, "-p", f"file={evil}", "--queue", evil)
    shell.out("worker", "--once", "--worker-id", evil)
    commands = [
        ("list",),
        ("list", "--json"),
        ("status", job_id, "--json"),
        ("status", job_id, "--show-params", "--show-result", "--show-executions"),
        ("stats",),
    ]
    for command in commands:
        printed = shell.out(*command)

        assert not [c for c in printed if not c.isprintable() and c != "\n"]
        assert "\nforged line" not in printed


def test_an_error_message_cannot_either(shell):
    shell.submit()
    for arguments in (("status", ESCAPE), ("list", "--db", ESCAPE)):
        done = shell.run(*arguments)

        assert ESCAPE not in done.stdout + done.stderr


def test_a_reader_that_leaves_early_is_no_error(shell):
    for _ in range(3):
        shell.submit()
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m gigq list | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=shell.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("+--")


def test_a_reader_that_is_gone_gets_the_shells_code(shell):
    shell.submit()
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as closed_pipe:
        done = subprocess.run(
            [sys.executable, "-m", "gigq", "list"],
            cwd=shell.folder,
            env=clean_environment(),
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["submit", "list"])
def test_a_full_disk_under_the_answer_is_not_taken_for_that_of_the_database(shell, command):
    arguments = ("submit", "shop.resize", "-p", "file=x") if command == "submit" else ("list",)
    shell.submit()
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "gigq", *arguments, *(["--name", "n"] * (command == "submit"))],
            cwd=shell.folder,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 74
    assert done.stderr == f"gigq: cannot write the output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.parametrize("command", ["list", "submit shop.resize --name n", "doctor"])
def test_a_deleted_working_directory_is_named(shell, command):
    folder = shlex.quote(str(shell.folder / "gone"))
    python = shlex.quote(sys.executable)
    script = f"mkdir {folder} && cd {folder} && rmdir {folder} && {python} -m gigq {command}"
    environment = clean_environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 69
    assert "the working directory was deleted" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_encoding_without_the_character_shows_an_escape(shell):
    shell.submit("shop.resize", "--name", "Müller 日本")

    assert r"M\xfcller \u65e5\u672c" in shell.out("list", PYTHONIOENCODING="ascii")


@pytest.mark.parametrize("program", ["gigq", "gigqd"])
def test_the_version_is_that_of_the_package(shell, program):
    assert shell.program(program, "--version").stdout == f"{program} {gigq.__version__}\n"


def test_the_database_may_be_named_before_after_and_in_the_environment(shell):
    shell.submit("shop.resize", "--db", "a.db")
    shell.submit("shop.resize", "--db", "b.db")
    shell.submit("shop.resize", "--db", "b.db")

    assert '"total": 1' in shell.out("--db", "a.db", "stats", "--json")
    assert '"total": 1' in shell.out("stats", "--json", "--db", "a.db")
    assert '"total": 2' in shell.out("stats", "--json", GIGQ_DB="b.db")
    assert '"total": 1' in shell.out("--db", "a.db", "stats", "--json", GIGQ_DB="b.db")
    assert '"total": 2' in shell.out("--db", "a.db", "stats", "--json", "--db", "b.db")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["list", "stats --json", "--help"])
def test_a_stream_that_was_closed_at_the_start_is_no_trouble(shell, command, closed):
    shell.submit()
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.quote(sys.executable)} -m gigq {command} {closed}"],
        cwd=shell.folder, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
