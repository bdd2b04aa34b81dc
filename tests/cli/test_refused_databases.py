"""A database that no command accepts is named without the password in it."""

from __future__ import annotations

import json

import pytest

REFUSED = [
    "host=db.example password=hunter2",
    "sslmode=require password = 'hunter2'",
    "mysql://amy:hunter2@db.example/shop",
    "postgresql//amy:hunter2@db.example/shop",
    "postgresql:amy:hunter2@db.example/shop",
    "jdbc:postgresql://db.example/shop?password=hunter2",
    " postgresql://amy:hunter2@db.example/shop",
]
KEY = "GIGQD_QUEUE__DATABASE"


@pytest.fixture(params=REFUSED, ids=range(len(REFUSED)))
def refused(request, shell):
    """A text that is no database; the configuration in the folder names it."""
    text = f"[queue]\ndatabase = {json.dumps(request.param)}\n"
    (shell.folder / "gigq.toml").write_text(text)
    return request.param


def shown(shell, program, *words, code, **environment):
    done = shell.program(program, *words, **environment)
    assert done.returncode == code
    assert "hunter2" not in done.stdout + done.stderr
    assert not list(shell.folder.rglob("*hunter2*"))
    return done.stderr


@pytest.mark.parametrize("command", [("check",), ("check", "--db"), ("run",), ("start",)])
def test_the_daemon_refuses_it_and_says_how_it_begins(shell, refused, command):
    said = shown(shell, "gigqd", *command, "--config", "gigq.toml", code=78)

    assert "2: queue.database: expected the path of an SQLite file" in said
    assert 'not a text that begins with "' in said


@pytest.mark.parametrize("command", [("check",), ("start",)])
def test_so_it_does_when_a_variable_names_it(shell, refused, command):
    (shell.folder / "gigq.toml").write_text("")
    said = shown(
        shell, "gigqd", *command, "--config", "gigq.toml", code=78, GIGQD_QUEUE__DATABASE=refused
    )

    assert f"environment: {KEY}: expected the path of an SQLite file" in said


def test_both_commands_read_a_truth_value_alike(shell):
    address = "postgresql://postgres@/missing?host=/missing"
    (shell.folder / "gigq.toml").write_text(f"[queue]\ndatabase = {json.dumps(address)}\n")
    both = [(*one, "--config", "gigq.toml") for one in (("gigq", "stats"), ("gigqd", "check"))]
    refused = [shell.program(*one, GIGQD_QUEUE__POOLER="yes") for one in both]
    taken = [shell.program(*one, GIGQD_QUEUE__POOLER="TRUE") for one in both]

    said = 'GIGQD_QUEUE__POOLER: expected true or false, not "yes"'
    assert [said in one.stderr for one in refused] == [True, True]
    assert [one.returncode for one in refused] == [2, 78]
    assert ["GIGQD" in one.stderr for one in taken] == [False, False]


@pytest.mark.parametrize("words", [("list",), ("worker", "--once"), ("doctor",)])
def test_the_other_commands_refuse_it_too(shell, refused, words):
    from_file = shown(shell, "gigq", *words, "--config", "gigq.toml", code=2)
    as_option = shown(shell, "gigq", *words, "--db", refused, code=69)
    variable = shown(shell, "gigq", *words, code=69, GIGQ_DB=refused)

    assert "the configuration gigq.toml: queue.database: " in from_file
    for said in (from_file, as_option, variable):
        assert "begins neither" in said or "addresses are not supported" in said
