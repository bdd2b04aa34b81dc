"""A daemon that root starts for another account, and what only root may touch beside it."""

from __future__ import annotations

import os
import subprocess

from support.configs import clean_environment, to_toml
from support.files import open_up
from support.other_user import SEARCH_PATH, interpreter_for
from support.waiting import wait_until

from gigq import Job, JobQueue

USER = "nobody"
NOBODY_UID = 65534
BEFORE = "what root has written"


class Host:
    """A place where `nobody` owns the home of a daemon, and root a folder beside it."""

    def __init__(self, path):
        open_up(path)
        self.home = self.folder(path / "home", NOBODY_UID)
        self.run = self.folder(self.home / "run", NOBODY_UID)
        self.roots = self.folder(path / "roots", 0)
        self.secret = self.roots / "secret"
        self.secret.write_text(BEFORE)
        self.missing = self.roots / "missing"
        self.config = path / "gigq.toml"
        self.configure()

    def folder(self, path, uid):
        path.mkdir()
        path.chmod(0o755)
        os.chown(path, uid, uid)
        return path

    def configure(self, settings=None, **log):
        settings = {
            "daemon.user": USER,
            "daemon.runtime_dir": str(self.run),
            "daemon.working_directory": "/",
            "queue.database": str(self.home / "jobs.db"),
            **(settings or {}),
        }
        self.config.write_text(to_toml(settings | {f"log.{key}": log[key] for key in log}))

    def gigqd(self, *words, cwd="/", groups=None):
        command = [interpreter_for(USER), "-m", "gigqd", "--config", str(self.config), *words]
        environment = clean_environment() | {"PYTHONPATH": SEARCH_PATH}
        return subprocess.run(
            command,
            env=environment,
            cwd=cwd,
            extra_groups=groups,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def job_after(self, function):
        """Return a job of `nobody`'s queue when it has ended; its daemon must run."""
        job_id = self.queue.submit(Job(function.__name__, function))
        wait_until(lambda: self.queue.get_status(job_id)["completed_at"], why=f"{job_id} ends")
        return self.queue.get_status(job_id)

    @property
    def queue(self):
        return JobQueue(str(self.home / "jobs.db"))

    def roots_folder_is_as_it_was(self):
        found = [(path.name, path.lstat().st_uid) for path in self.roots.iterdir()]
        assert found == [("secret", 0)]
        assert self.secret.read_text() == BEFORE
        assert self.roots.stat().st_uid == 0
