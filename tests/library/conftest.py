"""A queue in a folder of its own, its file, and a clock."""

import pytest
from support.set_clock import time

import gigq

__all__ = ["path", "queue", "time", "worker"]


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
