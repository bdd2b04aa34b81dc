"""gigqd in folders whose names are not UTF-8, under an ASCII locale, and in no folder at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.configs import clean_environment, to_toml
from support.waiting import wait_until

from gigq import Job, JobQueue

pytestmark = pytest.mark.daemon

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SETTINGS = {
    "daemon.runtime_dir": "run",
    "log.file": "log",
    "code.python_path": ["."],
    "pools.default.size": 1,
}


def gigqd(folder, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "gigqd", *map(os.fsencode, words)],
        cwd=folder,
        env={**clean_environment(), **environment},
        capture_output=True,
        timeout=60,
    )


@pytest.fixture
def folder_named(tmp_path):
    """A function that makes a folder with a configuration; its daemon is stopped at the end."""
    made = []

    def make(name, text='[queue]\ndatabase = "jobs.db"\n'):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        folder.mkdir()
        (folder / "gigq.toml").write_bytes((to_toml(SETTINGS) + text).encode())
        made.append(folder)
        return folder

    yield make
    for folder in made:
        gigqd(folder, "--config", "gigq.toml", "stop", "--now")


@pytest.mark.parametrize(
    ("name", "environment"),
    [(b"caf\xe9", {}), ("Aufträge".encode(), ASCII)],
    ids=["not UTF-8", "ASCII locale"],
)
def test_a_daemon_works_in_a_folder_whose_name_its_locale_lacks(folder_named, name, environment):
    folder = folder_named(name)
    toml = str(folder / "gigq.toml")

    commands = [
        gigqd(folder, "--config", toml, *words.split(), **environment)
        for words in ("check --db --import", "start", "status --json", "reload --wait")
    ]
    queue = JobQueue(str(folder / "jobs.db"))
    job_id = queue.submit(Job("pid", os.getpid))
    wait_until(lambda: queue.get_status(job_id)["status"] == "completed")
    stopped = gigqd(folder, "--config", toml, "stop", **environment)

    assert [done.returncode for done in [*commands, stopped]] == [0] * 5, commands


@pytest.mark.parametrize("command", ["check", "start", "run"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("queue.database", '[queue]\ndatabase = "Grüße.db"\n'),
        ("code.environment.NAME", '[queue]\ndatabase = "q"\n[code.environment]\nNAME = "Grüße"\n'),
    ],
)
def test_what_the_locale_lacks_in_the_configuration_is_named_with_its_line(
    folder_named, key, text, command
):
    folder = folder_named(b"plain", text)
    line = (folder / "gigq.toml").read_bytes().count(b"\n")

    done = gigqd(folder, "--config", "gigq.toml", command, **ASCII)

    assert done.returncode == 78
    assert f"gigq.toml:{line}: {key}".encode() in done.stderr
    assert b"set LC_ALL=C.UTF-8 or PYTHONUTF8=1" in done.stderr


@pytest.mark.parametrize("command", ["check", "start", "run", "reload", "stop"])
def test_a_deleted_working_directory_is_named(tmp_path, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {gone}; exec {sys.executable} -m gigqd {command}"

    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=gone,
        env={**clean_environment(), "GIGQD_QUEUE__DATABASE": "jobs.db"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 78
    assert "the working directory has been deleted" in done.stderr
