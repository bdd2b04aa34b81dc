"""gigq: background jobs without a broker. This module is the front door and holds no code."""

import gigq.linux_only  # noqa: F401 - before modules that import what other systems lack
from gigq.errors import (
    CancelJob,
    GigqError,
    GiveUp,
    InvalidJob,
    JobCancelled,
    JobNotFound,
    JobStopped,
    JobTimeout,
    RetryLater,
    Snooze,
    StoreUnavailable,
)
from gigq.events import setup_logging
from gigq.execution.job_context import current_job
from gigq.model.job import Job
from gigq.model.job_status import JobStatus
from gigq.model.retry import Retry
from gigq.queue import JobQueue
from gigq.store.sqlite.connections import close_connections
from gigq.task import task
from gigq.worker import Worker
from gigq.workflow import Workflow

__version__ = "0.1.0"

__all__ = [
    "CancelJob",
    "GigqError",
    "GiveUp",
    "InvalidJob",
    "Job",
    "JobCancelled",
    "JobNotFound",
    "JobQueue",
    "JobStatus",
    "JobStopped",
    "JobTimeout",
    "Retry",
    "RetryLater",
    "Snooze",
    "StoreUnavailable",
    "Worker",
    "Workflow",
    "close_connections",
    "current_job",
    "setup_logging",
    "task",
]
