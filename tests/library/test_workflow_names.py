"""The name of a workflow is stored with its jobs, and those of its tasks may be chosen."""

from __future__ import annotations

import pytest

from gigq import InvalidJob, Job, Workflow, task


@task(timeout=7)
def download(url):
    return url


def nothing():
    return None


def test_the_name_is_stored_and_asked_for(queue):
    flow = Workflow("nightly")
    flow.add_job(Job("first", nothing))
    flow.add_task(download, {"url": "a"}, name="download a")
    flow.add_task(download, {"url": "b"})
    ids = flow.submit_all(queue)
    alone = queue.submit(Job("alone", nothing))

    assert {job["id"] for job in queue.list_jobs(workflow="nightly")} == set(ids)
    assert [queue.get_status(id_)["name"] for id_ in ids] == ["first", "download a", "download"]
    assert queue.get_status(ids[1])["timeout"] == 7
    assert queue.get_status(ids[0])["workflow"] == "nightly"
    assert queue.get_status(alone)["workflow"] is None


@pytest.mark.parametrize(
    ("name", "problem"), [(5, "workflow is 5"), ("x" * 1001, "workflow has 1,001 characters")]
)
def test_a_name_that_cannot_be_stored_is_refused(queue, name, problem):
    flow = Workflow(name)
    flow.add_job(Job("first", nothing))
    with pytest.raises(InvalidJob, match=problem):
        flow.submit_all(queue)


def test_jobs_are_listed_by_their_age(queue):
    old = Job("old", nothing)
    old.created_at = "2026-01-01T00:00:00+00:00"
    queue.submit_many([old, Job("new", nothing)])

    assert [job["name"] for job in queue.list_jobs(older_than=3600)] == ["old"]
    assert [job["name"] for job in queue.list_jobs(newer_than=3600)] == ["new"]


def test_the_jobs_of_a_queue_are_counted(queue):
    queue.submit_many([Job("a", nothing, queue="mail"), Job("b", nothing)])

    assert queue.stats("mail")["total"] == 1
    assert queue.stats("nowhere")["total"] == 0
    assert {name: counts["pending"] for name, counts in queue.stats_by_queue().items()} == {
        "default": 1, "mail": 1
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["01a2", ["01a2"], Job("a", nothing)])
def test_parents_that_are_no_list_of_jobs_are_refused_with_the_remedy(wrong):
    with pytest.raises(TypeError, match=r"takes a list of jobs .* write depends_on=\[job\]"):
        Workflow("nightly").add_job(Job("second", nothing), depends_on=wrong)


def test_an_option_of_a_task_stays_when_the_workflow_gives_none():
    flow = Workflow("nightly")
    without = download.options(pass_parent_results=False)

    assert flow.add_task(without, {"url": "a"}).pass_parent_results is False
    assert flow.add_task(without, {"url": "a"}, pass_parent_results=True).pass_parent_results
