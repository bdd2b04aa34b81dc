"""What `import gigq` gives and what it costs."""

import subprocess
import sys
from importlib.metadata import version

import gigq

LOADED = """
import sys
before = set(sys.modules)
import gigq
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - sys.stdlib_module_names - {"gigq"}))
"""
ON_A_NEW_FILE = """
import sys
import gigq
from gigq.cli.dispatch import main
gigq.Worker(sys.argv[1]).process_one()
for command in ("migrate", "stats", "list", "worker"):
    main(["--db", sys.argv[1], command, *(["--once"] if command == "worker" else [])])
print([name for name in sys.modules if "postgres" in name or name.endswith("_5_1.upgrade")])
"""
NAMES = {
    "CancelJob", "GigqError", "GiveUp", "InvalidJob", "Job", "JobCancelled", "JobNotFound",
    "JobQueue", "JobStatus", "JobStopped", "JobTimeout", "Retry", "RetryLater", "Snooze",
    "StoreUnavailable", "Worker", "Workflow", "close_connections", "current_job", "setup_logging",
    "task",
}  # fmt: skip


def test_the_front_door_has_these_names_and_each_can_be_had():
    assert set(gigq.__all__) == NAMES
    assert all(getattr(gigq, name).__doc__ for name in NAMES)


def test_the_version_is_that_of_the_distribution():
    assert gigq.__version__ == version("gigqd")


def test_importing_gigq_loads_no_third_party_module():
    ran = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)

    assert ran.stdout == "[]\n"


def test_neither_postgresql_nor_the_upgrade_of_0_5_1_is_loaded_for_a_new_file(path):
    command = [sys.executable, "-c", ON_A_NEW_FILE, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)

    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr


def test_the_connection_helpers_have_the_names_of_0_5_1(path):
    from gigq.db_utils import close_connection, close_connections, get_connection

    connection = get_connection(path)

    assert get_connection(path) is connection
    close_connection(path)
    assert get_connection(path) is not connection
    close_connections()


def test_the_task_decorator_has_the_module_of_0_5_1():
    from gigq import decorators
    from gigq.task import TaskWrapper

    assert (decorators.TaskWrapper, decorators.task) == (TaskWrapper, gigq.task)


def test_the_command_has_the_module_of_0_5_1(path):
    gigq.JobQueue(path).close()
    ran = subprocess.run(
        [sys.executable, "-m", "gigq.cli", "--db", path, "stats"], capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stderr
    assert "| total     | 0     |" in ran.stdout
