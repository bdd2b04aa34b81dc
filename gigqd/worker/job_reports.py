"""Log events of a worker's jobs, with the configured limit of lines per second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gigq.execution.job_events import JobEvents

if TYPE_CHECKING:
    from gigqd.process.spawn import ChildContext


def job_reports(context: ChildContext) -> JobEvents:
    """Return the writer of the events of a worker's jobs."""
    logger = logging.getLogger(f"gigq.worker.{context.worker_id}")
    return JobEvents(logger, context.config.log.jobs_per_second, context.counts)
