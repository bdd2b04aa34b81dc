"""Ordinary libraries cost an application no workers, and the next job sees nothing of them."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from types import ModuleType

import pytest
from support import spoilers
from support.library_jobs import LIBRARIES, module_of

from gigq import Job

pytestmark = pytest.mark.daemon

PLACES = ("top", "inside")


class Answer(BaseHTTPRequestHandler):
    """Answers every request at once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer a request without a body."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        """Answer a request after its body."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_):
        """Say nothing."""

    def handle(self):
        """Answer until the other side closes the connection, or is ended."""
        with suppress(ConnectionError):
            super().handle()


@pytest.fixture
def server():
    """An HTTP server on the loopback interface."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        *((name, 5 if name == "joblib" else 60) for name in LIBRARIES),
        *(
            pytest.param(name, 50 if name == "joblib" else 1000, marks=pytest.mark.soak)
            for name in LIBRARIES
        ),
    ],
)
def test_a_library_costs_no_worker_and_the_next_job_sees_nothing_of_it(
    daemons, tmp_path, monkeypatch, server, name, jobs
):
    library = LIBRARIES[name]
    if find_spec(library.package) is None:
        pytest.skip(f"needs {library.distribution}: pip install -e '.[apps]'")
    monkeypatch.setenv("SENTRY", f"http://key@{server}/1")
    application = modules(library, tmp_path, monkeypatch)
    daemon = daemons(
        {
            "code.python_path": [str(tmp_path)],
            "daemon.working_directory": str(tmp_path),
            "pools.default.size": None,
            **{f"pools.{place}.size": 1 for place in PLACES},
            **{f"pools.{place}.queues": [place] for place in PLACES},
        }
    )
    submitted = {
        place: [
            daemon.queue.submit(Job(str(n), function, {"url": f"http://{server}/"}, queue=place))
            for n, function in enumerate(in_order(application[place], jobs))
        ]
        for place in PLACES
    }

    for place in PLACES:
        for job_id in submitted[place][-jobs:]:
            daemon.wait_for_job(job_id, within=120)
        found = [daemon.job(job_id) for job_id in submitted[place]]
        first, *_, last = (job["result"] for job in found if isinstance(job["result"], dict))
        pids = [job["result"] for job in found if isinstance(job["result"], int)]
        assert len(pids) == jobs, next(job["error"] for job in found if job["error"])
        assert len({*pids, first["pid"], last["pid"]}) == 1
        assert first.pop("random") != last.pop("random")
        assert first == last
    assert daemon.events("job_left_residue") == []


def modules(library, folder, monkeypatch):
    """Write the application's modules; this process has the same functions, and imports nothing."""
    found = {}
    for place in PLACES:
        found[place] = ModuleType(f"shop_{library.package}_{place}")
        exec("def work(url): ...\ndef observe(url): ...", vars(found[place]))
        monkeypatch.setitem(sys.modules, found[place].__name__, found[place])
        file = folder / f"{found[place].__name__}.py"
        file.write_text(module_of(library, inside=place == "inside"))
    return found


def in_order(module, jobs):
    """The functions to run: an observation after the first job and one after the last."""
    return [module.work, module.observe, *[module.work] * (jobs - 1), module.observe]


def test_a_pool_of_processes_that_stays_open_is_named_with_the_remedy(daemons):
    daemon = daemons({"pools.default.size": 1})
    for n in range(3):
        daemon.wait_for_job(daemon.submit(spoilers.spoil, f"job-{n}", {"what": "pool"}))

    warning = daemon.wait_for_event("job_leaks_repeated")

    left = daemon.events("job_left_residue")[0]
    assert left["left"] == ["children"]
    assert left["details"][0].startswith("process ")
    assert "shut the pool of processes down" in warning["remedy"]
