"""A queue in a folder of its own, and its file."""

import pytest

import gigq


@pytest.fixture
def path(tmp_path):
    yield str(tmp_path / "jobs.db")
    gigq.close_connections()


@pytest.fixture
def queue(path):
    return gigq.JobQueue(path)


@pytest.fixture
def worker(path):
    return gigq.Worker(path, worker_id="w")
