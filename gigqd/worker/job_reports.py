"""Log events of a worker's jobs, with the configured limit of lines per second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gigq.execution.event_reports import Reports

if TYPE_CHECKING:
    from gigqd.process.spawn import Birth


def job_reports(birth: Birth) -> Reports:
    """Return the writer of the events of a worker's jobs."""
    logger = logging.getLogger(f"gigq.worker.{birth.worker_id}")
    return Reports(logger, birth.config.log.jobs_per_second, birth.counts)
