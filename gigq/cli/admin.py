"""The command `gigq worker`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq import events
from gigq.cli import exits, text, values
from gigq.cli.loading import use_code
from gigq.cli.opening import queue_of_a_worker
from gigq.cli.worker_log import WorkerLog
from gigq.execution.hooks import around_worker
from gigq.inherited_signals import restore_signals
from gigq.worker import Worker

if TYPE_CHECKING:
    import argparse


def worker(args: argparse.Namespace) -> int:
    """Run jobs until stopped, or one job."""
    restore_signals()
    interval = args.polling_interval
    if interval is None:
        interval = values.variable("GIGQ_POLLING_INTERVAL", "5", values.positive)
    queues = values.queues(args.queues)
    hooks = use_code(args, args.hooks)
    # A worker may start before the first job is submitted, so it makes the tables.
    queue_of_a_worker(args)
    worker = Worker(
        args.db,
        worker_id=args.worker_id,
        polling_interval=interval,
        concurrency=args.concurrency,
        queues=queues,
        max_result_size=args.max_result_size,
        hooks=hooks,
    )
    usual = logging.WARNING if args.once else logging.INFO
    # Not through the logging module, which belongs to the application.
    events.send_to(WorkerLog(sys.stderr, logging.DEBUG if args.debug else usual))
    try:
        return _work_once(worker) if args.once else _work(worker)
    finally:
        events.send_to(None)


def _work(worker: Worker) -> int:
    print(f"Starting worker {text.printable(worker.worker_id)}...", flush=True)
    worker.notice = _write_notice
    worker.start()
    print("Worker stopped by user.")
    return exits.OK


def _write_notice(text: str) -> None:
    # Not through the stream: a signal handler may interrupt a write to it.
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"{text}\n".encode())


def _work_once(worker: Worker) -> int:
    with around_worker(worker.hooks):
        done = worker.process_one()
    print("Processed one job." if done else "No jobs available to process.")
    return exits.OK
