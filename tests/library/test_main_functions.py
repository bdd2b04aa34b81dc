"""Functions of a script or of a module run with -m are run by another process."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import beside
import gigq

def work(x):
    return [x, beside.VALUE, __name__]

@gigq.task
def more(x):
    return x

if __name__ == "__main__":
    queue = gigq.JobQueue(sys.argv[1])
    print(queue.submit(gigq.Job("work", work, {"x": 1})), more.submit(queue, x=2))
"""
WORK_IN_SCRIPT = """
import sys
import gigq

def work():
    return "in the same process"

if __name__ == "__main__":
    queue = gigq.JobQueue(sys.argv[1])
    job_id = queue.submit(gigq.Job("work", work))
    gigq.Worker(sys.argv[1]).process_one()
    print(queue.get_result(job_id), list(sys.modules).count("__mp_main__"))
"""
UNGUARDED = """
import os
import sys
import gigq

def work():
    return 1

path = os.environ["QUEUE_OF_THE_TEST"]
{line}
"""
GIVES_UP = """
import sys
import gigq

class Refused(Exception):
    class ForGood(Exception):
        pass

def work():
    raise Refused("by the bank")

def work_in_a_class():
    raise Refused.ForGood("by the bank")

if __name__ == "__main__":
    queue = gigq.JobQueue(sys.argv[1])
    for what in ("give_up_on", "retry_on"):
        rule = {what: [Refused, Refused.ForGood]}
        for function in (work, work_in_a_class):
            print(queue.submit(gigq.Job(what, function, max_attempts=2, **rule)))
"""
PROMPT = """
import gigq
def work(): pass
queue = gigq.JobQueue("jobs.db")
try:
    queue.submit(gigq.Job("work", work))
except gigq.InvalidJob as error:
    print(error)
print(queue.stats()["total"])
"""


def run(*command, cwd, **options):
    ran = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=60,
        **options,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "beside.py").write_text("VALUE = 7")
    (folder / "app.py").write_text(SCRIPT)
    return folder


def test_a_function_of_a_script_is_stored_by_its_file_and_run_by_another_process(
    folder, queue, worker, path
):
    first, second = run("app.py", path, cwd=folder).split()
    run("-c", f"import gigq; gigq.Worker({path!r}).work_off(lambda: True)", cwd="/")

    assert queue.get_status(first)["function_file"] == str(folder / "app.py")
    assert queue.get_result(first) == [1, 7, "__main__"]
    assert queue.get_result(second) == 2


def test_a_function_of_a_module_run_with_m_is_stored_by_the_modules_name(folder, queue, path):
    first, _ = run("-m", "app", path, cwd=folder).split()
    run("-c", f"import gigq; gigq.Worker({path!r}).work_off(lambda: True)", cwd=folder)
    status = queue.get_status(first)

    assert (status["function_module"], status["function_file"]) == ("app", None)
    assert queue.get_result(first) == [1, 7, "app"]


@pytest.mark.parametrize("how", [["refusing.py"], ["-m", "refusing"]])
def test_exceptions_of_a_script_or_of_a_module_run_with_m_are_found_by_their_class(
    folder, queue, path, how
):
    (folder / "refusing.py").write_text(GIVES_UP)
    ids = run(*how, path, cwd=folder).split()
    (folder / "works.py").write_text(f"import gigq\ngigq.Worker({path!r}).work_off(lambda: True)")
    run("-m", "works", cwd=folder)

    assert [queue.get_status(one)["attempts"] for one in ids] == [1, 1, 2, 2]


def test_a_script_that_works_off_its_own_jobs_is_not_loaded_twice(folder, path):
    (folder / "both.py").write_text(WORK_IN_SCRIPT)

    assert run("both.py", path, cwd=folder) == "in the same process 0\n"


@pytest.mark.parametrize("how", ["prompt", "-c"])
def test_a_function_of_the_prompt_is_refused_with_the_remedy(tmp_path, how):
    if how == "prompt":
        printed = run("-", cwd=tmp_path, input=PROMPT)
    else:
        printed = run("-c", PROMPT, cwd=tmp_path)

    assert "job 'work': work is defined at an interactive prompt or by -c" in printed
    assert "put it in a file" in printed
    assert printed.endswith("\n0\n")


def test_a_script_that_is_gone_fails_the_attempt_with_the_reason(folder, queue, worker, path):
    first, _ = run("app.py", path, cwd=folder).split()
    (folder / "app.py").unlink()
    worker.process_one()

    assert "there is no script" in queue.get_status(first)["error"]


@pytest.mark.parametrize(
    "line",
    [
        'gigq.JobQueue(path).submit(gigq.Job("work", work))',
        "gigq.Worker(path).process_one()",
        "gigq.Worker(path).start()",
    ],
)
def test_a_script_that_would_submit_or_work_at_every_load_fails_the_attempt_with_the_remedy(
    folder, queue, worker, path, monkeypatch, line
):
    monkeypatch.setenv("QUEUE_OF_THE_TEST", path)
    first, _ = run("app.py", path, cwd=folder).split()
    (folder / "app.py").write_text(UNGUARDED.format(line=line))
    worker.process_one()

    assert 'put that under `if __name__ == "__main__":`' in queue.get_status(first)["error"]
    assert queue.stats()["total"] == 2


def test_a_script_in_a_folder_that_is_not_utf_8_is_refused_with_the_reason(tmp_path, path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "shop.py").write_text(SCRIPT.replace("import beside\n", ""))
    done = subprocess.run(
        [sys.executable, folder / "shop.py", path], capture_output=True, text=True, timeout=60
    )

    assert "FunctionNotImportable" in done.stderr
    assert "a path that is not UTF-8 and cannot be stored; rename" in done.stderr
