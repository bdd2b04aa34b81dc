"""The Flask application of docs/howto/flask.md, under gunicorn with preloaded code and threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.by_name import submit
from support.pages import write_files
from support.servers import serving
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

JOBS_IN_A_CONTEXT = """
from flask import current_app, url_for


def name():
    return current_app.name


def fail():
    raise ValueError(current_app.name)
"""


@pytest.fixture
def daemon(daemons):
    """A daemon for the page's application, in the folder of its configuration."""
    daemon = daemons(start=False)
    write_files("flask", daemon.home)
    (daemon.home / "in_a_context.py").write_text(JOBS_IN_A_CONTEXT)
    daemon.configure({"code.hooks": "job_context", "code.python_path": [str(daemon.home)]})
    daemon.start()
    return daemon


def test_requests_of_many_threads_and_processes_store_each_its_job(daemon):
    command = ("--preload", "--workers", "2", "--threads", "4", "--bind", "127.0.0.1:0", "app:app")

    with serving(daemon.home, "gunicorn", *command) as server, ThreadPoolExecutor(8) as pool:
        files = [f"cat-{n}.jpg" for n in range(40)]
        answers = [*pool.map(lambda file: server.ask("POST", "/thumbnails", {"file": file}), files)]
        wait_until(lambda: daemon.queue.stats()["completed"] == 40, 60, why="forty thumbnails")
        shown = [server.ask("GET", f"/thumbnails/{body['job']}") for _, body in answers]
        missing = server.ask("GET", "/thumbnails/none")

    assert {status for status, _ in answers} == {202}
    assert [body["result"] for _, body in shown] == [f"{file} at 300 pixels" for file in files]
    assert missing[0] == 404
    assert daemon.queue.stats()["total"] == 40


def test_jobs_run_in_an_application_context_that_ends_with_them(daemon):
    ids = [submit(daemon.queue, f"in_a_context.{name}") for name in ("name", "fail", "name")]
    first, failed, last = (daemon.wait_for_job(job_id) for job_id in ids)

    assert (first["result"], last["result"]) == ("app", "app")
    assert failed["error"].startswith("ValueError: app\n")
    assert daemon.events("hook.failed") == []
