"""Every code block of `docs/api/core.md` runs as it stands there."""

import ast
import datetime as dt
import inspect
import os
import signal
import sqlite3
import sys
import threading
import time
import types
import uuid
from contextlib import closing

import pytest
from support import jobs_to_run
from support.seed_page import (
    REST_OF_CLAIM,
    Psycopg2Connection,
    block_with,
    blocks,
    run_block,
)
from support.waiting import wait_until

import gigq
from gigq import Job, JobQueue, JobStatus, Worker

SIGNATURES = [block for block in blocks() if block.is_signature]
EXAMPLES = [block for block in blocks() if not block.is_signature]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    gigq.close_connections()


def test_the_page_has_the_blocks_that_are_run_below():
    assert len(SIGNATURES) == 16
    assert len(EXAMPLES) == 8


def arguments(function):
    args = function.args
    defaults = [None] * (len(args.args) - len(args.defaults)) + args.defaults
    return {a.arg: d and ast.unparse(d) for a, d in zip(args.args, defaults, strict=True)}


def functions_shown():
    for block in SIGNATURES:
        (node,) = block.tree.body
        if isinstance(node, ast.FunctionDef):
            yield block.owner, node
        else:
            yield from ((block.owner, f) for f in node.body if isinstance(f, ast.FunctionDef))


@pytest.mark.parametrize(
    ("owner", "shown"), list(functions_shown()), ids=lambda v: v if isinstance(v, str) else v.name
)
def test_a_signature_of_the_page_is_the_real_one(owner, shown):
    real = getattr(getattr(gigq, owner), shown.name)
    parameters = inspect.signature(real).parameters
    first = list(parameters.values())[: len(arguments(shown))]

    described = real.__doc__ or getattr(gigq, owner).__doc__
    for parameter, (name, default) in zip(first, arguments(shown).items(), strict=True):
        given = None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
        assert (parameter.name, given) == (name, default and repr(ast.literal_eval(default)))
        assert name == "self" or f"{name}:" in described
    for parameter in list(parameters.values())[len(first) :]:
        is_optional = parameter.default is not parameter.empty
        assert is_optional or parameter.kind is parameter.VAR_KEYWORD


def test_the_states_of_the_page_are_the_real_ones():
    block = block_with("class JobStatus(Enum)")
    shown = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in block.tree.body[0].body
        if isinstance(node, ast.Assign)
    }

    assert {status.name: status.value for status in JobStatus} == shown


def test_the_job_example_makes_the_job_with_its_properties():
    job = run_block(block_with('name="process_data_job"').source, "seed_job").job

    assert job.id
    assert (job.name, job.priority, job.max_attempts) == ("process_data_job", 10, 3)
    assert (job.params, job.timeout) == ({"filename": "data.csv", "threshold": 0.7}, 300)
    assert (job.dependencies, job.description) == ([], "Process the daily data CSV file")
    assert dt.datetime.fromisoformat(job.created_at).tzinfo is not None
    assert job.function("data.csv") == {"processed": True, "count": 42}


def test_the_queue_example_submits_looks_lists_and_cancels(capsys):
    source = block_with("pending_jobs = queue.list_jobs").source
    module = run_block(source, "seed_queue", example_function=jobs_to_run.nothing)

    assert [job["id"] for job in module.pending_jobs] == [module.job_id]
    assert capsys.readouterr().out == (f"Job status: pending\nJob {module.job_id} cancelled\n")
    assert module.queue.get_status(module.job_id)["status"] == "cancelled"


def test_the_worker_example_processes_one_job_and_starts_until_it_is_stopped(capsys):
    queue = JobQueue("jobs.db")
    first, second = (queue.submit(Job(n, jobs_to_run.nothing)) for n in ("first", "second"))

    def stop_when_done():
        with closing(JobQueue("jobs.db")) as watching:
            wait_until(lambda: watching.get_status(second)["status"] == "completed")
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_when_done)
    stopper.start()
    run_block(block_with("worker.start()").source, "seed_worker")
    stopper.join()

    assert capsys.readouterr().out == "Processed one job\n"
    assert queue.get_status(first)["status"] == "completed"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_workflow_example_submits_its_jobs_in_order(capsys):
    steps = ("download_data", "process_data", "analyze_data")
    module = run_block(
        block_with('name="analyze"').source, "seed_workflow", **dict.fromkeys(steps, time.time)
    )

    assert capsys.readouterr().out == "Submitted 3 jobs\n"
    assert module.job_ids == [module.job1.id, module.job2.id, module.job3.id]
    assert module.queue.get_status(module.job3.id)["dependencies"] == [module.job2.id]


def test_the_complete_example_runs_its_three_jobs(capsys, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    source = block_with('Workflow("data_pipeline")\n\n# Define jobs\ndownload_job').source
    module = run_block(source, "seed_complete")
    printed = capsys.readouterr().out

    assert printed.count("Processed one job") == 3
    assert "Downloading data from https://example.com/data.csv" in printed
    assert printed.endswith(
        "Job download_data: completed\n"
        "Job process_data: completed\n"
        "Job generate_report: completed\n"
    )
    assert module.queue.get_result(module.report_job.id) == {"report_generated": True, "pages": 5}


def copy(input_file, output_file):
    return f"{input_file} to {output_file}"


def test_a_subclass_of_job_is_submitted_and_run():
    made = run_block(block_with("class DataProcessingJob").source, "seed_kind", Job=Job)
    job = made.DataProcessingJob("copy", copy, "a.csv", "b.csv", priority=3, timeout=10)
    queue = JobQueue("jobs.db")
    queue.submit(job)

    assert Worker("jobs.db").process_one()
    assert queue.get_result(job.id) == "a.csv to b.csv"
    assert queue.get_status(job.id)["priority"] == 3
    assert (job.input_file, job.output_file) == ("a.csv", "b.csv")


@pytest.fixture(params=[True, False], ids=["as 0.5.1 would", "forgetting the execution"])
def prioritized_worker(request):
    return run_block(
        block_with("class PrioritizedWorker").source.rstrip() + "\n" + REST_OF_CLAIM,
        "seed_prioritized",
        Worker=Worker,
        JobStatus=JobStatus,
        RECORD_EXECUTION=request.param,
        datetime=dt,
        sqlite3=sqlite3,
        uuid=uuid,
    ).PrioritizedWorker


def test_a_worker_with_a_claim_of_its_own_runs_only_what_it_claims(prioritized_worker):
    queue = JobQueue("jobs.db")
    low = queue.submit(Job("low", jobs_to_run.nothing, priority=50))
    high = queue.submit(Job("high", jobs_to_run.add, {"a": 1, "b": 2}, priority=51))
    worker = prioritized_worker("jobs.db", worker_id="mine")

    assert worker.process_one() is True
    assert worker.process_one() is False
    assert queue.get_result(high) == 3
    assert queue.get_status(low)["status"] == "pending"
    (execution,) = queue.get_status(high)["executions"]
    assert (execution["status"], execution["worker_id"], execution["attempt"]) == (
        "completed",
        "mine",
        1,
    )


def test_a_job_claimed_with_raw_sql_is_retried_fails_and_releases_like_any_other(
    prioritized_worker,
):
    queue = JobQueue("jobs.db")
    failing = Job("failing", jobs_to_run.fail, priority=60, max_attempts=2)
    child = Job("child", jobs_to_run.nothing, priority=60, dependencies=[failing.id])
    queue.submit_many([failing, child])
    worker = prioritized_worker("jobs.db")

    assert worker.work_off(lambda: queue.get_status(failing.id)["status"] == "pending") == 2
    status = queue.get_status(failing.id)
    assert (status["status"], status["attempts"]) == ("failed", 2)
    assert [e["status"] for e in status["executions"]] == ["failed", "failed"]
    assert queue.get_status(child.id)["status"] == "failed"


@pytest.fixture
def psycopg2(monkeypatch):
    connections = []

    def connect(path):
        connections.append(sqlite3.connect(path, factory=Psycopg2Connection))
        return connections[-1]

    monkeypatch.setitem(sys.modules, "psycopg2", types.SimpleNamespace(connect=connect))
    yield connections
    for connection in connections:
        connection.close()


def test_a_queue_with_its_own_connection_and_tables_works(psycopg2):
    block = block_with("class PostgresJobQueue")
    queue = run_block(block.source, "seed_postgres", JobQueue=JobQueue).PostgresJobQueue("own.db")
    parent = Job("parent", jobs_to_run.add, {"a": 1, "b": 2})
    child = Job("child", jobs_to_run.keyed, dependencies=[parent.id])
    cancelled = queue.submit(Job("cancelled", jobs_to_run.nothing))

    assert queue.submit_many([parent, child]) == [parent.id, child.id]
    assert queue.cancel(cancelled)
    assert queue.requeue_job(cancelled)
    assert queue.cancel(cancelled)
    assert queue.stats()["pending"] == 2
    assert len(psycopg2) > 1

    worker = Worker("own.db")
    assert worker.work_off(lambda: True) == 2
    assert queue.get_result(child.id) == {parent.id: 3}
    assert [job["status"] for job in queue.list_jobs(status="cancelled")] == ["cancelled"]
    assert queue.clear_completed() == 3
    assert queue.get_status(parent.id) == {"exists": False}
    queue.close()
