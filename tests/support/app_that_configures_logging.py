"""An application that configures the logging module in a worker as most do, and two jobs of it."""

from __future__ import annotations

import logging
import logging.config
import os

if "GIGQD_WORKER" in os.environ:
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"own": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["own"], "level": "INFO"},
        }
    )
log = logging.getLogger("shop.orders")


def boom() -> None:
    """Log a line and fail."""
    log.info("packing")
    raise ValueError("boom")


def fine() -> None:
    """Log a line."""
    log.info("packing")
