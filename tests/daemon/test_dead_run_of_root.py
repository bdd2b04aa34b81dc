"""A daemon of root that died beside one of an ordinary account, which may not end its processes."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
from contextlib import contextmanager

import pytest
from support import jobs
from support.configs import clean_environment, to_toml
from support.files import open_up
from support.other_user import SEARCH_PATH, interpreter_for
from support.waiting import wait_until

from gigq import Job, JobQueue

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run two accounts' daemons"),
]


class Place:
    """A database of `nobody`, and the configurations of two daemons on it."""

    def __init__(self, path):
        open_up(path)
        account = pwd.getpwnam("nobody")
        self.home = path / "home"
        self.home.mkdir()
        os.chown(self.home, account.pw_uid, account.pw_gid)
        self.database = self.home / "jobs.db"
        self.ledger = path / "ledger"

    def gigqd(self, config, *words):
        command = [interpreter_for("nobody"), "-m", "gigqd", "--config", str(config), *words]
        environment = clean_environment() | {"PYTHONPATH": SEARCH_PATH}
        return subprocess.Popen(
            command, env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def status(self, config):
        out, _ = self.gigqd(config, "status", "--json").communicate()
        return json.loads(out) if out else {}

    @contextmanager
    def daemon(self, name, settings):
        config = self.home.parent / f"{name}.toml"
        runtime = {"daemon.name": name, "daemon.runtime_dir": str(self.home.parent / name)}
        queue = {"queue.database": str(self.database), "pools.default.queues": [name]}
        config.write_text(to_toml(runtime | queue | settings))
        process = self.gigqd(config, "run")
        try:
            wait_until(lambda: self.status(config).get("state") == "running")
            yield process, config
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_what_may_not_be_ended_is_reported_and_its_job_is_not_released(place):
    as_nobody = {"daemon.user": "nobody", "daemon.working_directory": "/"}
    with place.daemon("first", as_nobody) as (_, first), place.daemon("second", {}) as (second, _):
        queue = JobQueue(place.database)
        job = Job("family", jobs.spawn_children, max_attempts=1, timeout=600, queue="second")
        job.params = {"ledger": str(place.ledger), "job": "family", "ways": ["double-fork"]}
        job_id = queue.submit(job)
        (child,) = wait_until(lambda: place.ledger.exists() and jobs.child_pids(place.ledger))
        second.kill()
        second.wait()

        reason = wait_until(lambda: place.status(first).get("reason"))
        status = queue.get_status(job_id)["status"]
        os.kill(child, signal.SIGKILL)

        assert f"processes of another account ({child})" in reason
        assert status == "running"
        wait_until(lambda: queue.get_status(job_id)["status"] == "failed")
        wait_until(lambda: place.status(first)["state"] == "running")
