"""Workflows for DBOS."""

import os
import signal
import threading
from collections.abc import Callable

from dbos import DBOS

from bench import work

QUEUE = "bench"
_counting = threading.Lock()


def counted(function: Callable[[], None]) -> Callable[[], None]:
    """A function for the threads of one process, whose count is not one of threads."""

    def run() -> None:
        with _counting:
            function()

    return run


def launch(url: str) -> None:
    """Register the workflows and their queue, and begin."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    for kind, function in work.FUNCTIONS.items():
        DBOS.workflow(name=kind)(counted(function))
    DBOS.launch()
    DBOS.register_queue(QUEUE)


if __name__ == "__main__":
    launch(os.environ["BENCH_URL"])
    signal.pause()
