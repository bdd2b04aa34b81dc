"""The allow list against hostile rows: nothing is imported or read that it does not cover."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.attacks import ALLOW, ATTACKS, FINE
from support.configs import clean_environment, to_toml
from support.waiting import wait_until

from gigq import Job, JobQueue

pytestmark = pytest.mark.daemon

TASKS = """
import subprocess
from datetime import datetime
from subprocess import Popen, call

import foreign

def send(args=None): return "sent"

class Subclass(foreign.Base):
    @staticmethod
    def own(args=None): return "sent"
"""
SCRIPT = "from subprocess import Popen, call\ndef send(args=None): return 'sent'\n"
FOREIGN = """
import subprocess

class Base:
    @staticmethod
    def shout(args): subprocess.call(args)
"""
HARM = "open({mark!r}, 'w').close()\ndef work(args=None): pass\n"
PLAIN = """
import sys
from gigq import Worker

worker = Worker(sys.argv[1])
worker.allow = tuple(sys.argv[2:])
while worker.process_one():
    pass
"""

WORKING_DIRECTORY = "a module named as a file in the working directory"
NOT_THERE = (WORKING_DIRECTORY, "a module that a module has imported")


class Outcome:
    """What came of every row in one kind of worker."""

    def __init__(self, home, jobs):
        self._harm = home / "harm"
        self._jobs = jobs

    def job(self, row):
        return self._jobs[row.what]

    def harm(self, row):
        return (self._harm / row.what).exists()


def an_application(home):
    app = home / "app"
    (app / "myapp").mkdir(parents=True)
    (app / "myapp" / "__init__.py").touch()
    (app / "myapp" / "tasks.py").write_text(TASKS)
    (app / "foreign.py").write_text(FOREIGN)
    (app / "run.py").write_text(SCRIPT)
    (app / "link").symlink_to(app)
    (app / "lib.so").write_text("no library")
    (home / "harm").mkdir()
    return app


def a_row(home, number, row):
    """Write the file that an attack is about, and say what its row holds."""
    evil = home / f"evil{number}"
    evil.with_suffix(".py").write_text(HARM.format(mark=str(home / "harm" / row.what)))
    words = {
        "app": home / "app",
        "up": "../" * 30,
        "evil": str(evil),
        "name": evil.name,
        "library": str(Path(subprocess.__file__).with_suffix("")).lstrip("/"),
    }
    return [text and text.format(**words) for text in (row.module, row.name, row.file)]


def submit(home):
    """Store a good job for each row, and then what the attack makes of it."""
    sys.path.insert(0, str(home / "app"))
    try:
        from myapp import tasks
    finally:
        sys.path.remove(str(home / "app"))
    queue = JobQueue(str(home / "jobs.db"))
    rows, ids = (*ATTACKS, *FINE), {}
    for row in rows:
        params = {"args": ["touch", str(home / "harm" / row.what)]}
        ids[row.what] = queue.submit(Job(row.what, tasks.send, params=params, max_attempts=1))
    with sqlite3.connect(home / "jobs.db") as database:
        for number, row in enumerate(rows):
            database.execute(
                "UPDATE jobs SET function_module = ?, function_name = ?, function_file = ? "
                "WHERE id = ?",
                [*a_row(home, number, row), ids[row.what]],
            )
    database.close()
    del sys.modules["myapp"], sys.modules["myapp.tasks"], sys.modules["foreign"]
    return queue, ids


def by_the_daemon(home, allow):
    """Have a daemon run every row."""
    config = home / "gigq.toml"
    settings = {
        "daemon.runtime_dir": "run",
        "daemon.working_directory": ".",
        "queue.database": "jobs.db",
        "queue.unknown_function_wait": "0s",
        "code.python_path": [str(home / "app")],
        "security.allow": allow,
        "pools.default.size": 1,
    }
    config.write_text(to_toml(settings))
    command = [sys.executable, "-m", "gigqd", "--config", str(config)]
    environment = clean_environment()
    subprocess.run([*command, "start"], check=True, env=environment, capture_output=True)
    try:
        queue = JobQueue(str(home / "jobs.db"))
        wait_until(lambda: not queue.stats()["pending"] + queue.stats()["running"], 120)
    finally:
        subprocess.run([*command, "stop"], check=True, env=environment, capture_output=True)


def by_a_plain_worker(home, allow):
    """Have a plain worker run every row."""
    environment = clean_environment()
    known = [str(home / "app"), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, known))
    command = [sys.executable, "-P", "-c", PLAIN, str(home / "jobs.db"), *allow]
    subprocess.run(command, check=True, env=environment, cwd=home, timeout=120)


@pytest.fixture(scope="module", params=[by_the_daemon, by_a_plain_worker])
def outcome(request, tmp_path_factory):
    home = Path(tmp_path_factory.mktemp("home")).resolve()
    an_application(home)
    queue, ids = submit(home)
    (home / "myapp.py").write_text(HARM.format(mark=str(home / "harm" / WORKING_DIRECTORY)))
    request.param(home, [pattern.format(app=home / "app") for pattern in ALLOW])
    return Outcome(home, {what: queue.get_status(job_id) for what, job_id in ids.items()})


@pytest.mark.fault("S1")
@pytest.mark.parametrize("row", ATTACKS, ids=lambda row: row.what)
def test_a_row_runs_nothing_that_the_allow_list_does_not_cover(outcome, row):
    job = outcome.job(row)

    assert job["status"] == "failed"
    assert not outcome.harm(row)
    reason = "FunctionNotFound" if row.what in NOT_THERE else "FunctionNotAllowed"
    assert reason in job["error"]


@pytest.mark.parametrize("row", FINE, ids=lambda row: row.what)
def test_a_row_runs_what_the_allow_list_covers(outcome, row):
    job = outcome.job(row)

    assert (job["status"], job["result"]) == ("completed", "sent")
