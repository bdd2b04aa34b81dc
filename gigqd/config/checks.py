"""What no key can know alone: contradictions are problems, oddities are warnings."""

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gigq import served_queues
from gigqd.config.exposure import exposed_files, foreign_files, rules_of_root
from gigqd.config.kinds import show_duration, show_size
from gigqd.config.log_file import log_file_problem, rotation_problem
from gigqd.config.pool import PoolConfig
from gigqd.config.schema import Config
from gigqd.config.settings import Keys, Settings
from gigqd.config.source import Source
from gigqd.config.variables import ignored, variable_name
from gigqd.errors import Problem
from gigqd.text import printable

DEFAULT_QUEUE = "default"
_CONTAINER_PATIENCE = 10.0
# What the interpreter, the loader and the allocator read once, before their program begins.
_READ_AT_THE_START = re.compile(
    r"PYTHON(PATH|HOME|UTF8|HASHSEED|WARNINGS|MALLOC)|LD_(LIBRARY_PATH|PRELOAD)|MALLOC_\w+"
)


def cross_check(config: Config, source: Source | None, settings: Settings) -> list[Problem]:
    """The contradictions between keys, or between keys and this host.

    Args:
        config: the configuration, with defaults where a value was bad.
        source: the file, if there is one.
        settings: where each key was given.
    """
    found = [*_pools(config), *_accounts(config), *_places(config)]
    problems = [_at(keys, message, source, settings) for keys, message in found]
    return problems + (_exposed_to_root(config) if rules_of_root() else [])


def warnings(config: Config) -> tuple[str, ...]:
    """What is allowed but probably not meant, one sentence each; to be logged at start."""
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


Contradiction = tuple[Keys, str]


def _pools(config: Config) -> Iterator[Contradiction]:
    if not any(pool.size for pool in config.pools):
        keys = ("pools", config.pools[0].name, "size")
        yield keys, "no pool has a worker; give at least one a size of 1 or more"
    by_variable: dict[str, str] = {}
    lock_timeout = config.queue.lock_timeout
    for pool in config.pools:
        if pool.record_timeout <= lock_timeout:
            message = (
                f"{show_duration(pool.record_timeout)} is not longer than queue.lock_timeout "
                f"({show_duration(lock_timeout)}); a worker that waits for a lock would be "
                "replaced, and the outcome of its job lost"
            )
            yield ("pools", pool.name, "record_timeout"), message
        first = by_variable.setdefault(variable_name([pool.name]), pool.name)
        if first != pool.name:
            message = f'is the same name as "{first}" in environment variables; rename one of them'
            yield ("pools", pool.name), message


def _accounts(config: Config) -> Iterator[Contradiction]:
    daemon = config.daemon
    if daemon.user is not None:
        problem = _user_problem(daemon.user)
        if problem:
            yield ("daemon", "user"), problem
    if daemon.group is not None:
        problem = _group_problem(daemon.group)
        if problem:
            yield ("daemon", "group"), problem


def _user_problem(name: str) -> str:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return "no such user on this host"
    if os.geteuid() in (0, account.pw_uid):
        return ""
    return "only root can change to another user; start gigqd as root, or leave this out"


def _group_problem(name: str) -> str:
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return "no such group on this host"
    if os.geteuid() == 0 or group.gr_gid in (os.getegid(), *os.getgroups()):
        return ""
    return "only root can change to another group; start gigqd as root, or leave this out"


def _places(config: Config) -> Iterator[Contradiction]:
    if _is_directory(config.daemon.working_directory) is False:
        yield ("daemon", "working_directory"), "is not a directory"
    if problem := log_file_problem(config):
        yield ("log", "file"), problem
    elif problem := rotation_problem(config):
        yield ("log", "max_size"), problem


def _is_directory(path: Path) -> bool | None:
    """None when this account may not look, as somebody who only asks for the status."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError:
        return None
    except OSError:
        return False


def _exposed_to_root(config: Config) -> list[Problem]:
    """List the files by which any account could have root do what it likes."""
    return [
        Problem(str(path), None, "", f"{why}; root does not read it")
        for path, why in exposed_files(config)
    ]


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
    longest = max(config.pools, key=_grace)
    if config.daemon.stop_timeout < longest.timeout_grace:
        yield (
            f"daemon.stop_timeout ({show_duration(config.daemon.stop_timeout)}) is shorter than "
            f"pools.{longest.name}.timeout_grace ({show_duration(longest.timeout_grace)})"
        )


def _killed_in_a_container(config: Config) -> Iterator[str]:
    """As the first process of a container, which most engines kill 10 s after TERM."""
    timeout = config.daemon.stop_timeout
    if os.getpid() == 1 and timeout > _CONTAINER_PATIENCE:
        yield (
            f"daemon.stop_timeout is {show_duration(timeout)}, but a container is killed "
            f"{show_duration(_CONTAINER_PATIENCE)} after it was asked to stop unless more was "
            "asked for: jobs that run then are lost with the daemon and use up an attempt; give "
            "it longer (docker stop -t, stop_grace_period of Compose, "
            "terminationGracePeriodSeconds of Kubernetes), or set a smaller stop_timeout"
        )


def _late_recycling(config: Config) -> Iterator[str]:
    for pool in config.pools:
        if pool.memory_limit is not None and pool.recycle_above_memory >= pool.memory_limit:
            yield (
                f"pools.{pool.name}.recycle_above_memory ({show_size(pool.recycle_above_memory)}) "
                f"is not below pools.{pool.name}.memory_limit ({show_size(pool.memory_limit)}); "
                "a job is killed before its worker is ever too large"
            )


def _grace(pool: PoolConfig) -> float:
    return pool.timeout_grace


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


def _at(keys: Keys, message: str, source: Source | None, settings: Settings) -> Problem:
    if keys in settings:
        return settings[keys].problem(message)
    return source.problem(keys, message) if source else Problem(None, None, ".".join(keys), message)
