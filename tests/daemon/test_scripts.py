"""Scripts of several folders under one daemon."""

import subprocess
import sys

import pytest

from gigq import close_connections

pytestmark = pytest.mark.daemon

SCRIPT = """
import sys
import helpers
import gigq
from concurrent.futures import ProcessPoolExecutor

def who():
    return helpers.WHO

def in_a_process():
    with ProcessPoolExecutor(1) as executor:
        return executor.submit(who).result()

if __name__ == "__main__":
    queue = gigq.JobQueue(sys.argv[1])
    for function in (who, in_a_process):
        print(queue.submit(gigq.Job("a job", function, max_attempts=1)))
"""


@pytest.fixture
def scripts(tmp_path):
    """Two scripts of one name, each with a module `helpers` beside it."""
    made = {}
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "helpers.py").write_text(f"WHO = {name!r}\n")
        made[name] = folder / "run.py"
        made[name].write_text(SCRIPT)
    yield made
    close_connections()


def submitted_by(script, daemon):
    return subprocess.run(
        [sys.executable, script, daemon.database], check=True, capture_output=True, text=True
    ).stdout.split()


def test_each_job_gets_the_helpers_of_its_own_script_and_no_attempt_is_used_up(daemons, scripts):
    daemon = daemons({"pools.default.size": 1, "log.level": "debug"})
    ids = [
        (name, id_) for name in ("one", "two") * 2 for id_ in submitted_by(scripts[name], daemon)
    ]
    jobs = [(name, daemon.wait_for_job(id_, within=60)) for name, id_ in ids]

    assert [job["result"] for _, job in jobs] == [name for name, _ in jobs]
    assert {job["attempts"] for _, job in jobs} == {1}
    assert "code" in {line["reason"] for line in daemon.events("worker_recycled")}
    assert str(scripts["one"].parent) in daemon.events("code_conflict")[0]["reason"]


def test_a_new_worker_runs_its_first_job_whatever_it_has_imported(daemons, scripts, tmp_path):
    (tmp_path / "application").mkdir()
    (tmp_path / "application" / "helpers.py").write_text("WHO = 'the application'\n")
    daemon = daemons(
        {
            "pools.default.size": 1,
            "code.python_path": [str(tmp_path / "application")],
            "code.imports": ["helpers"],
        }
    )
    job_id, _ = submitted_by(scripts["one"], daemon)

    assert "CodeConflict" in daemon.wait_for_job(job_id, within=30)["error"]


def test_a_module_that_submits_when_it_is_imported_keeps_the_workers_from_booting(
    daemons, tmp_path
):
    daemon = daemons(
        {"code.python_path": [str(tmp_path)], "code.imports": ["unguarded"]}, start=False
    )
    (tmp_path / "unguarded.py").write_text(
        f"import gigq\ndef f(): pass\ngigq.JobQueue({str(daemon.database)!r})"
        ".submit(gigq.Job('f', f))\n"
    )
    done = daemon.command("start")

    assert done.returncode != 0
    assert "unguarded submits or works off jobs" in done.stdout + done.stderr


def test_after_a_link_has_moved_and_a_reload_jobs_run_the_new_release(daemons, scripts, tmp_path):
    daemon = daemons({"pools.default.size": 1})
    link, new = tmp_path / "current", tmp_path / "new"
    link.symlink_to(scripts["one"].parent)
    before, _ = submitted_by(link / "run.py", daemon)
    daemon.wait_for_job(before, within=30)
    new.symlink_to(scripts["two"].parent)
    new.rename(link)
    reloaded = daemon.command("reload")
    after, in_a_process = submitted_by(link / "run.py", daemon)

    assert reloaded.returncode == 0, reloaded.stderr
    assert daemon.job(before)["result"] == "one"
    assert daemon.wait_for_job(after, within=30)["result"] == "two"
    assert daemon.wait_for_job(in_a_process, within=30)["result"] == "two"
    assert daemon.job(after)["function_file"] == str(link / "run.py")
