"""Jobs of scripts run as they do under `python script.py`: pickles, processes, neighbours."""

import os
import subprocess
import sys
import threading

import pytest
from support import by_name, fork_server
from support.forked import in_a_child

import gigq
from gigq.model import function_import, scripts

SHOP = """
import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import gigq

class Order:
    def __init__(self, number):
        self.number = number
    class Line:
        pass

@gigq.task
def tasked():
    pass

def doubled(order):
    return Order(order.number * 2)

def through_a_pool(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return [order.number for order in pool.map(doubled, [Order(1), Order(2)])]

def through_an_executor(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return [order.number for order in executor.map(doubled, [Order(1), Order(2)])]

def reads(file):
    return pickle.loads(Path(file).read_bytes())[0].number

def writes(file):
    Path(file).write_bytes(pickle.dumps([Order(7), Order.Line(), doubled]))

def place():
    main = sys.modules["__main__"]
    return [__name__, main.__file__, main.Order is Order, str(Path(__file__).parent) in sys.path]

def submits_another(path):
    return gigq.JobQueue(path).submit(gigq.Job("place", place))

if __name__ == "__main__":
    file = sys.argv[1]
    if sys.argv[2] == "writes":
        writes(file)
    else:
        print(reads(file))
"""


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    return folder / "shop.py"


def submit_of(queue, script, name, **params):
    """Submit a function of a script without running the script here."""
    function = function_import.FunctionRef("__main__", name, str(script))
    job = gigq.Job(name, function_import.load(function), params, max_attempts=1)
    return queue.submit(job)


def work_off(path, *, folder="/"):
    """Work off a queue in a new process."""
    program = f"import gigq; gigq.Worker({path!r}).work_off(lambda: True)"
    done = fork_server.run("-c", [program], folder=folder, environment=os.environ)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("through", ["through_a_pool", "through_an_executor"])
def test_processes_of_every_start_method_exchange_objects_of_the_scripts_own_classes(
    shop, queue, path, through
):
    ids = [
        submit_of(queue, shop, through, method=method) for method in ("fork", "spawn", "forkserver")
    ]
    work_off(path)

    assert [queue.get_status(id_)["error"] for id_ in ids] == [None] * 3
    assert [queue.get_result(id_) for id_ in ids] == [[2, 4]] * 3


def test_a_job_reads_the_pickles_of_the_script_and_the_script_those_of_a_job(
    shop, queue, path, tmp_path
):
    of_script, of_job = tmp_path / "of_script", tmp_path / "of_job"
    subprocess.run([sys.executable, shop, of_script, "writes"], check=True)
    read = submit_of(queue, shop, "reads", file=str(of_script))
    submit_of(queue, shop, "writes", file=str(of_job))
    work_off(path)
    done = subprocess.run(
        [sys.executable, shop, of_job, "reads"], check=True, capture_output=True, text=True
    )

    assert queue.get_result(read) == 7
    assert done.stdout == "7\n"


def test_a_script_is_the_main_module_of_its_jobs_and_of_nothing_else(shop, queue, worker):
    before, path = sys.modules["__main__"], sys.path.copy()
    job_id = submit_of(queue, shop, "place")
    worker.process_one()

    assert queue.get_result(job_id) == ["__main__", str(shop), True, True]
    assert sys.modules["__main__"] is before
    assert sys.path == path


def test_a_job_of_a_script_submits_functions_of_that_script(shop, queue, worker, path):
    job_id = submit_of(queue, shop, "submits_another", path=path)
    worker.process_one()
    other = queue.get_result(job_id)

    assert queue.get_status(other)["function_file"] == str(shop)


def test_what_cannot_be_renamed_in_a_script_is_left_alone(tmp_path, queue, worker):
    script = tmp_path / "odd.py"
    script.write_text(
        "class Closed(type):\n"
        "    def __setattr__(cls, name, value): raise TypeError(name)\n"
        "class Kept(metaclass=Closed): pass\n"
        "class Proxy:\n"
        "    def __getattribute__(self, name): raise RuntimeError(name)\n"
        "proxy = Proxy()\n"
        "def f(): return 1\n"
    )
    job_id = submit_of(queue, script, "f")
    worker.process_one()

    assert queue.get_result(job_id) == 1


def test_a_script_without_the_ending_of_python_is_loaded_too(tmp_path, queue, worker):
    script = tmp_path / "nightly"
    script.write_text("def f(): return 1\n")
    job_id = submit_of(queue, script, "f")
    worker.process_one()

    assert queue.get_result(job_id) == 1


# --- neighbours of one name ------------------------------------------------------------------

WITH_HELPERS = """
import sys
{at_top}
import gigq
def who():
    {inside}
    return helpers_of_the_test.WHO
if __name__ == "__main__":
    print(gigq.JobQueue(sys.argv[1]).submit(gigq.Job("who", who, max_attempts=1)))
"""
AT_TOP = WITH_HELPERS.format(at_top="import helpers_of_the_test", inside="")
LATE = WITH_HELPERS.format(
    at_top="", inside="import importlib; helpers_of_the_test = importlib.import_module('helpers_'"
    "'of_the_test')"
)  # fmt: skip


def application(folder, who, script=AT_TOP):
    folder.mkdir()
    (folder / "run.py").write_text(script)
    (folder / "helpers_of_the_test.py").write_text(f"WHO = {who!r}\n")
    return folder / "run.py"


def submitted_by(script, path):
    return subprocess.run(
        [sys.executable, script, path], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("text", [AT_TOP, LATE])
def test_a_plain_worker_fails_the_job_whose_helpers_are_loaded_from_another_folder(
    tmp_path, queue, path, text
):
    one = application(tmp_path / "one", "one", text)
    two = application(tmp_path / "two", "two", text)
    first, second, third = (submitted_by(script, path) for script in (one, two, one))
    work_off(path)
    error = queue.get_status(second)["error"]

    assert queue.get_result(first) == queue.get_result(third) == "one"
    assert error.startswith("gigq.errors.CodeConflict: ")
    assert str(one.parent) in error
    assert str(two.parent) in error


def test_a_plain_worker_runs_scripts_of_two_folders_that_share_no_name(tmp_path, queue, path):
    one = application(tmp_path / "one", "one")
    (tmp_path / "two").mkdir()
    two = tmp_path / "two" / "run.py"
    two.write_text("import sys, gigq\ndef f(): return 2\nif __name__ == '__main__':\n"
                   "    print(gigq.JobQueue(sys.argv[1]).submit(gigq.Job('f', f)))\n")  # fmt: skip
    ids = [submitted_by(script, path) for script in (one, two)]
    work_off(path)

    assert [queue.get_result(id_) for id_ in ids] == ["one", 2]


def test_a_script_does_not_get_a_module_of_the_application_in_place_of_its_neighbour(
    tmp_path, queue, path
):
    application(tmp_path / "app", "the application")
    script = application(tmp_path / "script", "the script")
    (tmp_path / "app" / "tasks.py").write_text(
        "import helpers_of_the_test\ndef who(): return helpers_of_the_test.WHO\n"
    )
    first = subprocess.run(
        [sys.executable, "-m", "gigq", "submit", "tasks.who", "--name", "t", "--db", path],
        cwd=tmp_path / "app", check=True, capture_output=True, text=True,
    ).stdout.split()[-1]  # fmt: skip
    second = submitted_by(script, path)
    work_off(path, folder=tmp_path / "app")

    assert queue.get_result(first) == "the application"
    assert "CodeConflict" in queue.get_status(second)["error"]


def test_a_module_of_the_application_does_not_get_the_neighbour_of_a_script(tmp_path, queue, path):
    application(tmp_path / "app", "the application")
    script = application(tmp_path / "script", "the script")
    (tmp_path / "app" / "tasks.py").write_text(
        "import helpers_of_the_test\ndef who(): return helpers_of_the_test.WHO\n"
    )
    first = submitted_by(script, path)
    second = subprocess.run(
        [sys.executable, "-m", "gigq", "submit", "tasks.who", "--name", "t", "--db", path],
        cwd=tmp_path / "app", check=True, capture_output=True, text=True,
    ).stdout.split()[-1]  # fmt: skip
    work_off(path, folder=tmp_path / "app")

    assert queue.get_result(first) == "the script"
    assert "CodeConflict: module tasks: " in queue.get_status(second)["error"]


LAZY = """
def name():
    import helpers
    return helpers.NAME

def nothing():
    pass
"""


def test_a_script_does_not_get_the_neighbour_that_another_one_has_imported_since(
    tmp_path, queue, path
):
    scripts_ = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helpers.py").write_text(f"NAME = {folder!r}\n")
        scripts_.append(tmp_path / folder / f"script_{folder}.py")
        scripts_[-1].write_text(LAZY)
    one, other = scripts_
    submit_of(queue, one, "nothing")
    second = submit_of(queue, other, "name")
    third = submit_of(queue, one, "name")
    work_off(path)

    assert queue.get_result(second) == "other"
    assert "CodeConflict: " in queue.get_status(third)["error"]


def test_a_forked_process_loads_scripts_whatever_other_threads_of_its_parent_did():
    ready, end = threading.Event(), threading.Event()

    def loads():
        with scripts._loading_lock, scripts._main._lock:
            ready.set()
            end.wait(60)

    thread = threading.Thread(target=loads)
    thread.start()
    ready.wait(60)

    def take():
        locks = scripts._loading_lock, scripts._main._lock
        return [lock.acquire(blocking=False) for lock in locks]

    said = in_a_child(take)
    end.set()
    thread.join()

    assert said == "[True, True]"


# --- modules that are run with -m ------------------------------------------------------------

UNGUARDED = """
import os
import gigq
def work():
    return 1
gigq.JobQueue(os.environ["QUEUE_OF_THE_TEST"]).submit(gigq.Job("work", work, max_attempts=1))
"""

UNGUARDED_IN_A_THREAD = """
import os
import threading
import gigq
def work():
    return 1
def submit():
    gigq.JobQueue(os.environ["QUEUE_OF_THE_TEST"]).submit(gigq.Job("work", work, max_attempts=1))
thread = threading.Thread(target=submit)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(("module", "file"), [("goods", "__main__.py"), ("goods.jobs", "jobs.py")])
def test_a_module_that_submits_at_its_top_is_refused_when_a_worker_imports_it(
    tmp_path, queue, path, monkeypatch, module, file
):
    monkeypatch.setenv("QUEUE_OF_THE_TEST", path)
    (tmp_path / "goods").mkdir()
    (tmp_path / "goods" / "__init__.py").touch()
    (tmp_path / "goods" / file).write_text(UNGUARDED)
    subprocess.run([sys.executable, "-m", module], cwd=tmp_path, check=True)
    work_off(path, folder=tmp_path)
    (job,) = queue.list_jobs()

    assert job["status"] == "failed"
    assert f"goods.{file[:-3]} submits or works off jobs" in job["error"]
    assert 'put that under `if __name__ == "__main__":`' in job["error"]


@pytest.mark.parametrize("arguments", [["goods.py"], ["-m", "goods"]])
def test_code_that_submits_in_a_thread_of_its_top_does_not_submit_when_a_worker_loads_it(
    tmp_path, queue, path, monkeypatch, arguments
):
    monkeypatch.setenv("QUEUE_OF_THE_TEST", path)
    (tmp_path / "goods.py").write_text(UNGUARDED_IN_A_THREAD)
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True)
    work_off(path, folder=tmp_path)

    assert [job["status"] for job in queue.list_jobs()] == ["completed"]


def test_another_thread_of_the_process_may_submit_while_a_module_is_loaded(
    tmp_path, queue, path, monkeypatch
):
    monkeypatch.setenv("QUEUE_OF_THE_TEST", path)
    (tmp_path / "goods.py").write_text(
        "import threading\nimport __main__\n"
        "__main__.loading.set()\n__main__.submitted.wait(60)\n\n\ndef work():\n    return 1\n"
    )
    (tmp_path / "main.py").write_text(
        "import json, os, sys, threading, gigq\n"
        "loading, submitted, queue = threading.Event(), threading.Event(), None\n"
        "def submit():\n"
        "    loading.wait(60)\n"
        "    queue.submit(gigq.Job('beside', json.dumps, {'obj': 1}))\n"
        "    submitted.set()\n"
        "if __name__ == '__main__':\n"
        "    queue = gigq.JobQueue(os.environ['QUEUE_OF_THE_TEST'])\n"
        "    threading.Thread(target=submit).start()\n"
        "    gigq.Worker(queue).process_one()\n"
    )
    by_name.submit(queue, "goods.work")
    subprocess.run([sys.executable, "main.py"], cwd=tmp_path, check=True, timeout=120)

    assert {job["name"]: job["status"] for job in queue.list_jobs()} == {
        "work": "completed", "beside": "pending"
    }  # fmt: skip
