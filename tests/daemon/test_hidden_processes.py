"""An ordinary account's daemon where /proc hides the processes of other accounts."""

from __future__ import annotations

import json
import os
import pwd
import subprocess

import pytest
from support.configs import clean_environment
from support.files import open_up
from support.other_user import SEARCH_PATH, interpreter_for

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount another /proc"),
]

MOUNT = "mount --make-rprivate / && mount -t proc -o hidepid=%s proc /proc && exec setpriv "
AS_NOBODY = '--reuid=65534 --regid=nogroup --clear-groups "$@"'
PROGRAM = """
import json, subprocess, sys, time
from support import jobs
from gigq import Job, JobQueue

def gigqd(command):
    words = [sys.executable, "-m", "gigqd", "--config", "gigq.toml", command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode

start = gigqd("start")
queue = JobQueue("jobs.db")
params = {"ledger": "ledger", "job": "family"}
job = queue.submit(Job("family", jobs.spawn_children, params, timeout=1, max_attempts=1))
while queue.get_status(job)["status"] in ("pending", "running"):
    time.sleep(0.05)
status, stop = gigqd("status"), gigqd("stop")
print(json.dumps([[start, status, stop], queue.get_status(job)["status"]]))
"""


@pytest.mark.parametrize("hidden", ["noaccess", "invisible"])
def test_it_starts_kills_what_overruns_and_stops(tmp_path, hidden):
    open_up(tmp_path)
    os.chown(tmp_path, pwd.getpwnam("nobody").pw_uid, -1)
    (tmp_path / "gigq.toml").write_text(
        '[daemon]\nruntime_dir = "run"\n[queue]\ndatabase = "jobs.db"\n[pools.default]\nsize = 1\n'
    )
    run = [interpreter_for("nobody"), "-c", PROGRAM]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", MOUNT % hidden + AS_NOBODY, "sh", *run],
        cwd=tmp_path,
        env=clean_environment() | {"PYTHONPATH": SEARCH_PATH},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == [[0, 0, 0], "timeout"]
