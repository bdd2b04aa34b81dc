"""What went wrong with renamed functions, names and tables elsewhere, from public bug reports."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.old_files import OldFile

import gigq
from gigq.errors import UnsupportedStore

SUBMIT = "import gigq, {module}; gigq.JobQueue('jobs.db').submit(gigq.Job('bill', {module}.bill))"
WORK = "import gigq; worker = gigq.Worker('jobs.db')\nwhile worker.process_one(): pass"


def python(folder, code):
    """What a new interpreter says that runs some code in a folder."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_job_of_a_renamed_module_fails_with_the_reason_and_runs_once_the_name_is_back(tmp_path):
    """celery/celery#3489: after an upgrade, queued tasks were not registered, and discarded."""
    (tmp_path / "old_tasks.py").write_text("def bill():\n    return 'billed'\n")
    python(tmp_path, SUBMIT.format(module="old_tasks"))
    (tmp_path / "old_tasks.py").rename(tmp_path / "new_tasks.py")

    python(tmp_path, SUBMIT.format(module="new_tasks"))
    python(tmp_path, WORK)
    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        new, old = queue.list_jobs()
        assert (new["status"], queue.get_result(new["id"])) == ("completed", "billed")
        assert (old["status"], old["function_module"]) == ("failed", "old_tasks")
        assert "there is no module 'old_tasks'" in old["error"]

        (tmp_path / "old_tasks.py").write_text("from new_tasks import bill\n")
        queue.requeue_job(old["id"])
        python(tmp_path, WORK)
        assert queue.get_result(old["id"]) == "billed"


def test_a_job_whose_function_was_removed_holds_no_other_job_up(tmp_path):
    """coleifer/huey#765: each worker that met a removed task failed while it read the queue."""
    tasks = tmp_path / "tasks.py"
    tasks.write_text("def bill():\n    return 1\n")
    for _ in range(2):
        python(tmp_path, SUBMIT.format(module="tasks"))
    tasks.write_text("def other():\n    return 2\n")
    python(
        tmp_path, "import gigq, tasks; gigq.JobQueue('jobs.db').submit(gigq.Job('o', tasks.other))"
    )

    python(tmp_path, WORK)

    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        assert [job["status"] for job in queue.list_jobs()] == ["completed", "failed", "failed"]
        assert all(not job["error"] or "'bill'" in job["error"] for job in queue.list_jobs())


@pytest.mark.parametrize(
    "name", [name for name in gigq.__all__ if isinstance(getattr(gigq, name), type)]
)
def test_a_class_that_another_program_has_pickled_by_its_public_name_is_read_again(name):
    """rq/rq#1267: an extension could not import an exception that had been renamed."""
    assert pickle.loads(b"cgigq\n%s\n." % name.encode()) is getattr(gigq, name)
    if issubclass(getattr(gigq, name), Exception):
        assert pickle.loads(b"cgigq.errors\n%s\n." % name.encode()) is getattr(gigq, name)


@pytest.mark.parametrize("name", ["gigq_old_jobs", "gigq_old_executions"])
def test_an_upgrade_that_meets_the_table_of_an_earlier_try_names_it_and_changes_nothing(path, name):
    """shieldproject/shield#665: a failed upgrade left a table, at which each later one failed."""
    OldFile(path).job("a")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {name} (id TEXT)")
        before = list(connection.iterdump())

        with pytest.raises(UnsupportedStore, match=name):
            gigq.JobQueue(path)
        assert list(connection.iterdump()) == before

        connection.execute(f"DROP TABLE {name}")
    with gigq.JobQueue(path) as queue:
        assert [job["id"] for job in queue.list_jobs()] == ["a"]


@pytest.mark.parametrize("name", ["a'b.db", "a?mode=ro#x.db", "100%41.db", '"jobs".db', "a b;.db"])
def test_a_file_with_an_unusual_name_is_upgraded_in_its_place(tmp_path, name):
    """janbjorge/pgqueuer#645: the upgrade ran on the usual name where another was configured."""
    OldFile(str(tmp_path / name)).job("a")

    with gigq.JobQueue(tmp_path / name) as queue:
        assert [job["id"] for job in queue.list_jobs()] == ["a"]

    files = {path.name for path in tmp_path.iterdir()}
    assert files <= {name, f"{name}-wal", f"{name}-shm", f"{name}.gigq"}
