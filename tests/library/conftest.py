"""A queue in a folder of its own, its file, the address of one on a server, and a clock."""

import pytest
from support import postgres
from support.set_clock import time

import gigq
from gigq.model.ids import new_id
from gigq.store.postgres.connections import close_connections

__all__ = ["address", "path", "queue", "time", "worker"]


@pytest.fixture
def path(tmp_path):
    yield str(tmp_path / "jobs.db")
    gigq.close_connections()


@pytest.fixture
def queue(path):
    return gigq.JobQueue(path)


@pytest.fixture
def address():
    """The address of a schema of its own on the server of this run."""
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as found:
        yield found
        close_connections(found)


@pytest.fixture
def worker(path):
    return gigq.Worker(path, worker_id="w")
