"""Warnings about values of a configuration that are valid and probably not intended."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.model import served_queues
from gigq.model.units import format_duration, format_size
from gigq.terminal import printable
from gigqd.config.environment import ignored
from gigqd.config.writable_by_others import exposed_files, foreign_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.config.schema import Config

DEFAULT_QUEUE = "default"
_CONTAINER_PATIENCE = 10.0
# Variables that the interpreter, the loader and the allocator read once, at the start.
_READ_AT_THE_START = re.compile(
    r"PYTHON(PATH|HOME|UTF8|HASHSEED|WARNINGS|MALLOC)|LD_(LIBRARY_PATH|PRELOAD)|MALLOC_\w+"
)


def warnings(config: Config) -> tuple[str, ...]:
    """Return one sentence for each oddity, to be logged at start."""
    return (
        *_exposed(config),
        *_unserved(config),
        *_empty_pools(config),
        *_short_stop(config),
        *_killed_in_a_container(config),
        *_late_recycling(config),
        *_root_jobs(config),
        *_missing_folders(config),
        *_too_late(config),
        *_no_renames(config),
        *ignored(os.environ),
    )


def _exposed(config: Config) -> Iterator[str]:
    for path, why in exposed_files(config):
        yield f"{printable(str(path))}: {why}"
    for path, owner in foreign_files(config):
        yield (
            f"{printable(str(path))} belongs to user id {owner}, which decides by it what this "
            "account does"
        )


def _unserved(config: Config) -> Iterator[str]:
    pools = [served_queues.parse(pool.queues) for pool in config.pools if pool.size]
    named = {name for pool in config.pools for name in served_queues.parse(pool.queues).names}
    for queue in sorted(named | {DEFAULT_QUEUE}):
        if not any(pool.serves(queue) for pool in pools):
            yield f'no pool with a worker serves the queue "{queue}"; its jobs will wait'


def _empty_pools(config: Config) -> Iterator[str]:
    for pool in config.pools:
        if not pool.size:
            yield f'the pool "{pool.name}" has no workers (size 0)'


def _short_stop(config: Config) -> Iterator[str]:
    longest = max(config.pools, key=lambda pool: pool.timeout_grace)
    if config.daemon.stop_timeout < longest.timeout_grace:
        yield (
            f"daemon.stop_timeout ({format_duration(config.daemon.stop_timeout)}) is shorter than "
            f"pools.{longest.name}.timeout_grace ({format_duration(longest.timeout_grace)})"
        )


def _killed_in_a_container(config: Config) -> Iterator[str]:
    """As the first process of a container, which most engines kill 10 s after TERM."""
    timeout = config.daemon.stop_timeout
    if os.getpid() == 1 and timeout > _CONTAINER_PATIENCE:
        yield (
            f"daemon.stop_timeout is {format_duration(timeout)}, but a container is killed "
            f"{format_duration(_CONTAINER_PATIENCE)} after it was asked to stop unless more was "
            "asked for: jobs that run then are lost with the daemon and use up an attempt; give "
            "it longer (docker stop -t, stop_grace_period of Compose, "
            "terminationGracePeriodSeconds of Kubernetes), or set a smaller stop_timeout"
        )


def _late_recycling(config: Config) -> Iterator[str]:
    for pool in config.pools:
        above, limit = pool.recycle_above_memory, pool.memory_limit
        if limit is not None and above >= limit:
            yield (
                f"pools.{pool.name}.recycle_above_memory ({format_size(above)}) is not below "
                f"pools.{pool.name}.memory_limit ({format_size(limit)}); a job is killed before "
                "its worker is ever too large"
            )


def _root_jobs(config: Config) -> Iterator[str]:
    if os.geteuid() == 0 and config.daemon.user is None:
        yield "jobs run as root; set daemon.user to an account made for them"


def _missing_folders(config: Config) -> Iterator[str]:
    for folder in config.code.python_path:
        with suppress(PermissionError):
            if not folder.exists():
                yield f"code.python_path: {printable(str(folder))} does not exist"


def _too_late(config: Config) -> Iterator[str]:
    """Warn of variables that no worker reads: it is forked from the daemon, not started anew."""
    for name in filter(_READ_AT_THE_START.fullmatch, config.code.environment):
        remedy = "set code.python_path" if name == "PYTHONPATH" else "set it where gigqd is started"
        yield (
            f"{name} in code.environment or its file has no effect in the workers, only in "
            f"programs that their jobs start; {remedy}"
        )


def _no_renames(config: Config) -> Iterator[str]:
    file = config.log.file
    if config.log.max_size and file and not os.access(file.parent, os.W_OK | os.X_OK):
        yield (
            f"log.max_size is set, but files in {printable(str(file.parent))} cannot be renamed "
            "by this account: the log grows; let it write there, or rotate the log otherwise"
        )
