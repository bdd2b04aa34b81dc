"""Every code block of the README runs, and prints what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.console import JOB_ID, TIME, examples
from support.tree import ROOT
from support.waiting import wait_until

pytestmark = pytest.mark.docs

README = (ROOT / "README.md").read_text()
FILE = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\w*)$", re.MULTILINE)
VARYING = [
    (JOB_ID, "ID"),
    (TIME, "TIME"),
    (re.compile(r"pid \d+"), "pid N"),
    (re.compile(r"log \S+/run/"), "log /srv/shop/run/"),
    (re.compile(r"[\d.]+m?s:"), "Ns:"),
]
COMMANDS = list(examples(README))
ASKING = ("gigq list", "gigq status", "gigqd status")


@pytest.fixture
def shop(tmp_path):
    """The files of the README, in a folder; the daemon is stopped in the end, come what may."""
    for name, text in FILE.findall(README):
        (tmp_path / name).write_text(text)
    yield tmp_path
    run("gigqd --config gigq.toml stop --now", tmp_path)


def run(command, folder):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIGQ")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=kept | {"TZ": "UTC", "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def as_usual(text):
    for pattern, stand_in in VARYING:
        text = pattern.sub(stand_in, text)
    return text


def prints(command, expected, folder):
    """Whether a command prints what it should; one that only asks is asked until it does."""
    if not command.startswith(ASKING):
        printed = run(command, folder)
        assert as_usual(printed) == as_usual(expected)
        return

    def printed():
        return as_usual(run(command, folder))

    wait_until(lambda: printed() == as_usual(expected), 20, why=expected)


@pytest.mark.daemon
def test_the_example_prints_what_stands_there(shop):
    for command, expected in COMMANDS:
        if not command.startswith("make"):
            prints(command, expected, shop)

    assert "gigqd is not running" in run("gigqd --config gigq.toml status", shop)


def test_the_two_commands_are_targets_of_the_makefile():
    made = [command for command, _ in COMMANDS if command.startswith("make")]

    assert [command.split()[1] for command in made] == ["demo", "test"]
    assert all("\n.PHONY: " + c.split()[1] in (ROOT / "Makefile").read_text() for c in made)


def test_every_block_is_a_file_or_commands():
    kinds = FENCE.findall(README)[::2]

    assert len(FILE.findall(README)) == kinds.count("python") + kinds.count("toml")
    assert set(kinds) == {"python", "toml", "console"}


def test_the_configuration_is_valid_toml(shop):
    assert tomllib.loads((shop / "gigq.toml").read_text())["pools"]["default"]["size"] == 2


def test_the_example_of_an_application_is_about_ten_lines():
    ((_, code), *_) = FILE.findall(README)
    lines = [line for line in code.splitlines() if line.strip()]

    assert len(lines) <= 13
