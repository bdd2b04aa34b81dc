"""The command `gigq worker`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from gigq import events
from gigq.cli import arguments, exit_codes
from gigq.cli.options import Commands, Namespace, add_code_options, add_parser, add_queues
from gigq.cli.user_code import use_code
from gigq.cli.worker_log import WorkerLog
from gigq.execution.hooks import worker_hooks
from gigq.inherited_signals import restore_signals
from gigq.store.named_database import prepare_for_worker
from gigq.terminal import printable
from gigq.worker import Worker

_QUEUES = "a queue to serve (may be repeated; '*' with '!NAME': all but NAME; default: all)"
_FLAGS = {
    "--once": "run one due job, then exit",
    "--init": "create the queue in place of a lost one, or in a database of another program",
}

_DETAILS = """\
The first INT or TERM lets the current job finish, the second interrupts it,
the third ends the process. Events are lines on standard error; with --once
only warnings and errors."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "worker",
        worker,
        "run jobs until stopped",
        example="gigq worker --queue mail --queue default --concurrency 4",
        details=_DETAILS,
    )
    add = parser.add_argument
    add(
        "--worker-id",
        default=arguments.from_environment("GIGQ_WORKER_ID", "") or None,
        metavar="NAME",
        help="its name in the database and the log (default: generated)",
    )
    add(
        "--polling-interval",
        type=arguments.positive,
        metavar="SECONDS",
        help="maximum wait between two polls for jobs (default: 5)",
    )
    for option, what in _FLAGS.items():
        add(option, action="store_true", help=what)
    add(
        "--concurrency",
        type=arguments.count,
        default=1,
        metavar="N",
        help="jobs at a time, in threads (default: 1)",
    )
    add(
        "--max-result-size",
        type=arguments.size,
        metavar="SIZE",
        help="maximum size of a result as JSON, such as 4MiB (default: 1MiB)",
    )
    add_queues(parser, _QUEUES)
    add("--hooks", metavar="MODULE", help="the module with the hooks of the application")
    add_code_options(parser)


def worker(args: Namespace) -> int:
    """Run jobs until stopped, or one job."""
    restore_signals()
    interval = args.polling_interval
    if interval is None:
        interval = arguments.variable("GIGQ_POLLING_INTERVAL", "5", arguments.positive)
    queues = arguments.queues(args.queues)
    hooks = use_code(args, args.hooks)
    # A worker may start before the first job is submitted, so it makes the tables.
    prepare_for_worker(args.db, anywhere=args.init)
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
    print(f"Starting worker {printable(worker.worker_id)}...", flush=True)
    worker.notice = _write_notice
    worker.start()
    print("Worker stopped by user.")
    return exit_codes.OK


def _write_notice(text: str) -> None:
    # Not through the stream: a signal handler may interrupt a write to it.
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"{text}\n".encode())


def _work_once(worker: Worker) -> int:
    with worker_hooks(worker.hooks):
        done = worker.process_one()
    print("Processed one job." if done else "No jobs available to process.")
    return exit_codes.OK
