"""gigq: background jobs without a broker. This module is the front door and holds no code."""

import gigq.linux_only  # noqa: F401 - before modules that import what other systems lack
from gigq.errors import (
    GigqError,
    InvalidJob,
    JobCancelled,
    JobNotFound,
    JobStopped,
    JobTimeout,
    StoreUnavailable,
)
from gigq.events import setup_logging
from gigq.execution.job_context import current_job
from gigq.model.job import Job
from gigq.model.job_status import JobStatus
from gigq.queue import JobQueue
from gigq.store.sqlite.connections import close_connections
from gigq.task import task
from gigq.worker import Worker
from gigq.workflow import Workflow

__version__ = "0.1.0"

__all__ = [
    "GigqError",
    "InvalidJob",
    "Job",
    "JobCancelled",
    "JobNotFound",
    "JobQueue",
    "JobStatus",
    "JobStopped",
    "JobTimeout",
    "StoreUnavailable",
    "Worker",
    "Workflow",
    "close_connections",
    "current_job",
    "setup_logging",
    "task",
]
