"""The FastAPI application of docs/howto/fastapi.md, under uvicorn with workers and reloading."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.pages import write_files
from support.servers import serving
from support.waiting import wait_until

pytestmark = pytest.mark.daemon


@pytest.fixture
def daemon(daemons):
    """A daemon for the page's application, in the folder of its configuration."""
    daemon = daemons(start=False)
    write_files("fastapi", daemon.home)
    daemon.configure({"code.python_path": [str(daemon.home)]})
    daemon.start()
    return daemon


def test_two_processes_store_each_request_once(daemon):
    command = ("--workers", "2", "--port", "0", "app:app")

    with serving(daemon.home, "uvicorn", *command) as server, ThreadPoolExecutor(8) as pool:
        files = [f"cat-{n}.jpg" for n in range(40)]
        answers = [*pool.map(lambda file: server.ask("POST", "/pictures", {"file": file}), files)]
        wait_until(lambda: daemon.queue.stats()["completed"] == 40, 60, why="forty pictures")
        shown = [server.ask("GET", f"/pictures/{body['job']}") for _, body in answers]
        refused = server.ask("POST", "/pictures", {"width": "wide"})

    assert {status for status, _ in answers} == {202}
    assert [body["result"] for _, body in shown] == [f"{file} at 300 pixels" for file in files]
    assert refused[0] == 422
    assert daemon.queue.stats()["total"] == 40


def test_a_reload_of_the_application_loses_and_repeats_no_job(daemon):
    app = daemon.home / "app.py"

    with serving(daemon.home, "uvicorn", "--reload", "--port", "0", "app:app") as server:
        first = server.ask("POST", "/pictures", {"file": "before.jpg"})
        app.write_text(app.read_text().replace("width: int = 300", "width: int = 1200"))
        wait_until(lambda: "Reloading" in server.log(), 60, why="the server sees the change")
        wait_until(lambda: server.log().count("startup complete") > 1, 60, why="it is up again")
        second = server.ask("POST", "/pictures", {"file": "after.jpg"})

    assert (first[0], second[0]) == (202, 202)
    results = [daemon.wait_for_job(body["job"])["result"] for _, body in (first, second)]
    assert results == ["before.jpg at 300 pixels", "after.jpg at 1200 pixels"]
    assert daemon.queue.stats()["total"] == 2
