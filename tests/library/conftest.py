"""A queue in a folder of its own, its file, the address of one on a server, and a clock."""

import pytest
from support import stores
from support.set_clock import time

import gigq
from gigq.store.postgres.connections import close_connections

__all__ = ["address", "empty", "path", "queue", "time", "worker"]


@pytest.fixture
def path(tmp_path):
    yield str(tmp_path / "jobs.db")
    gigq.close_connections()


@pytest.fixture
def queue(path):
    stores.begin_file(path)
    return gigq.JobQueue(path)


@pytest.fixture
def empty(tmp_path):
    """The address of an empty schema on the server of this run."""
    with stores.address_of("postgres", tmp_path) as found:
        yield found
        close_connections(found)


@pytest.fixture
def address(tmp_path):
    """The address of an empty queue on the server of this run."""
    with stores.begun("postgres", tmp_path) as found:
        yield found
        close_connections(found)


@pytest.fixture
def worker(path):
    return gigq.Worker(path, worker_id="w")
