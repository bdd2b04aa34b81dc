"""The function of docs/howto/retry.md that reads `Retry-After`, with answers of a real server."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from support.pages import write_files

from gigq import JobQueue, Worker
from gigq.model import clock
from gigq.model.function_import import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docs


class Busy(BaseHTTPRequestHandler):
    """Refuses each request with the header that its path names."""

    def do_GET(self) -> None:
        kind = self.path.removeprefix("/")
        self.send_response(503)
        if kind == "seconds":
            self.send_header("Retry-After", "120")
        if kind == "date":
            later = datetime.now(UTC) + timedelta(minutes=30)
            self.send_header("Retry-After", format_datetime(later, usegmt=True))
        if kind == "past":
            self.send_header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")
        if kind == "nonsense":
            self.send_header("Retry-After", "soon")
        self.end_headers()

    def log_message(self, *_given: object) -> None:
        """Write nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    busy = HTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=busy.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{busy.server_port}"
    busy.shutdown()
    thread.join()
    busy.server_close()


@pytest.mark.parametrize(
    ("kind", "shortest", "longest"),
    [
        ("seconds", 120, 120),
        ("date", 1700, 1800),
        ("past", 0, 0),
        ("absent", 4, 6),
        ("nonsense", 0, 0),
    ],
)
def test_a_job_waits_as_long_as_the_server_asks(
    tmp_path: Path, server: str, kind: str, shortest: float, longest: float
) -> None:
    write_files("retry", tmp_path)
    fetch = find(str(tmp_path / "prices.py"), "fetch")
    queue = JobQueue(tmp_path / "jobs.db")
    job_id = fetch.submit(queue, url=f"{server}/{kind}")

    Worker(queue).process_one()

    job = queue.get_status(job_id)
    ended = job["executions"][0]["completed_at"]
    waits = clock.parse(job["retry_after"] or ended) - clock.parse(ended)
    assert "HTTP Error 503" in job["error"]
    assert job["status"] == "pending"
    assert shortest <= round(waits.total_seconds(), 2) <= longest
