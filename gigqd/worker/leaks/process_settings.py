"""The settings of this process that Python can read and restore, one line each."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from gigqd.linux import signals
from gigqd.worker.leaks import rlimits, user_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigqd.worker.signal_wakeup import SignalWakeup

# The functions of `signal` itself convert to enumerations, which takes 15 times as long.
_signal: Any = import_module("_signal")
_locale_module: Any = import_module("_locale")  # the same without the checks of `locale`

_SIGNALS = range(1, signal.SIGRTMIN)
_TIMERS = {
    f"the timer {name}": int(getattr(signal, name))
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
}
_TIMER_NUMBERS = tuple(_TIMERS.values())
_AT_REST = ((0.0, 0.0),) * len(_TIMERS)
_NO_TIMER = (False,) * len(_TIMERS)
_STREAMS = ("stdin", "stdout", "stderr")
_HOOKS: dict[str, tuple[Any, str]] = {
    "sys.excepthook": (sys, "excepthook"),
    "sys.unraisablehook": (sys, "unraisablehook"),
    "sys.displayhook": (sys, "displayhook"),
    "sys.breakpointhook": (sys, "breakpointhook"),
    "threading.excepthook": (threading, "excepthook"),
}
_INTERPRETER: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "sys.setrecursionlimit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "sys.setswitchinterval": (sys.getswitchinterval, sys.setswitchinterval),
    "sys.settrace": (sys.gettrace, sys.settrace),
    "sys.setprofile": (sys.getprofile, sys.setprofile),
    "threading.settrace": (threading.gettrace, threading.settrace),
    "threading.setprofile": (threading.getprofile, threading.setprofile),
    "sys.set_int_max_str_digits": (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    "gc.disable": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    "gc.set_threshold": (gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds)),
    "socket.setdefaulttimeout": (socket.getdefaulttimeout, socket.setdefaulttimeout),
}

# Read after each job, so without unpacking the tables again.
_READ_INTERPRETER = tuple(read for read, _ in _INTERPRETER.values())
_HOOKS_OF_SYS = attrgetter(*[name for owner, name in _HOOKS.values() if owner is sys])

# The raw variables; decoding them takes fifty times as long.
_variables: dict[bytes, bytes] = vars(os.environ)["_data"]


class Setting(NamedTuple):
    """One setting that a job can change in its process.

    Attributes:
        kind: the name in the log and in `allowed_leaks`.
        names: the name in messages; for a tuple, one name for each item.
        read: returns the value; called after every job, so it avoids system calls.
        restore: sets a value. It may raise errors of the kernel or Python.
        read_in_job: reads the value during a job, where `read` would disturb the job.
    """

    kind: str
    names: str | tuple[str, ...]
    read: Callable[[], Any]
    restore: Callable[[Any], object]
    read_in_job: Callable[[], Any] | None = None

    def changes(self, before: Any, now: Any) -> Iterator[str]:
        """Name the differences between two values, but never an environment variable's value."""
        if isinstance(now, tuple):
            pairs = zip(self.names, before, now, strict=True)
            yield from dict.fromkeys(name for name, one, other in pairs if one != other)
        elif isinstance(now, dict):
            keys = sorted({key for key, _ in before.items() ^ now.items()})
            yield from (f"{self.names} {os.fsdecode(key)}" for key in keys)
        elif isinstance(now, list):
            items = [item for item in (*now, *before) if item not in before or item not in now]
            yield from (f"{self.names} {item!r}" for item in items or ["in another order"])
        else:
            yield f"{self.names} {now!r}"


def settings(signal_wakeup: SignalWakeup) -> tuple[Setting, ...]:
    """Return all settings, in the order in which they are restored.

    Args:
        signal_wakeup: the worker's own signal handlers.
    """
    listening = ("signal.set_wakeup_fd", "faulthandler.disable")
    handlers = tuple(f"the handler of {signals.name_of(number)}" for number in _SIGNALS)
    limits = rlimits.ResourceLimits()
    streams = tuple(f"sys.{name}" for name in _STREAMS)
    return (
        Setting(
            "handlers", handlers, _handlers, lambda normal: _restore_handlers(normal, signal_wakeup)
        ),
        Setting(
            "handlers",
            listening,
            signal_wakeup.listens,
            lambda _: signal_wakeup.restore_dumps(),
            _listens,
        ),
        Setting("mask", "blocked signals", _mask, _restore_mask),
        Setting("timers", tuple(_TIMERS), _timers, _restore_timers),
        Setting("directory", "the working directory", _directory, os.chdir),
        Setting("umask", "the umask", _umask, os.umask, _umask_in_job),
        Setting("environment", ("os.environ",), lambda: (os.environ,), _restore_environ),
        Setting("environment", "the environment variable", _variables.copy, _restore_variables),
        Setting("environment", ("time.tzset", "time.tzset"), _zone, lambda _: time.tzset()),
        Setting("limits", rlimits.NAMES, limits.read, limits.restore),
        Setting("priority", "the priority", _priority, _restore_priority),
        Setting("locale", "the locale", _locale, _restore_locale),
        Setting("path", "the sys.path entry", lambda: sys.path[:], _restore_path),
        Setting("streams", streams, _streams, _restore_streams),
        Setting("interpreter", tuple(_INTERPRETER), _interpreter, _restore_interpreter),
        Setting("interpreter", "sys.argv with", lambda: sys.argv[:], _restore_argv),
        Setting("warnings", "the warnings filter", lambda: warnings.filters[:], _restore_filters),
        Setting("warnings", ("warnings.showwarning",), _showwarning, _restore_showwarning),
        Setting("logging", "logging.disable", _disabled, logging.disable),
        Setting("hooks", tuple(_HOOKS), _hooks, _restore_hooks),
        Setting("account", user_ids.NAMES, user_ids.reader(), user_ids.restore),
    )


def merged(normal: Any, before: Any, after: Any) -> Any:
    """Apply to a value the changes between two others."""
    if normal == before:
        return after
    if isinstance(after, tuple):
        triples = zip(normal, before, after, strict=True)
        return tuple(old if one == other else other for old, one, other in triples)
    if isinstance(after, dict):
        kept = {key: value for key, value in normal.items() if key in after or key not in before}
        return kept | {key: after[key] for key in after if before.get(key) != after[key]}
    if isinstance(after, list):
        return _merged_list(normal, before, after)
    return normal if before == after else after


def _merged_list(normal: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    """Add new items at the end at which they were added, and remove removed ones."""
    added = [item for item in after if item not in before and item not in normal]
    in_front = next((at for at, item in enumerate(after) if item in before), len(after))
    first = [item for item in added if item in after[:in_front]]
    kept = [item for item in normal if item in after or item not in before]
    return [*first, *kept, *(item for item in added if item not in first)]


def _listens() -> tuple[bool, ...]:
    """Return the required values, so that a change by an import is not accepted."""
    return True, True


def _handlers() -> tuple[Any, ...]:
    return (*map(_signal.getsignal, _SIGNALS),)


def _restore_handlers(normal: tuple[Any, ...], signal_wakeup: SignalWakeup) -> None:
    mask = signals.block_all()  # between two changes a signal could kill the worker
    try:
        for number, handler in zip(_SIGNALS, normal, strict=True):
            if _signal.getsignal(number) != handler and handler is not None:
                _signal.signal(number, handler)
        signal_wakeup.restore_dumps()
    finally:
        signals.restore(mask)


def _mask() -> Any:
    return _signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _restore_mask(normal: Any) -> None:
    _signal.pthread_sigmask(signal.SIG_SETMASK, normal)


def _timers() -> tuple[bool, ...]:
    """Return which timers run; their remaining time always differs."""
    found = (*map(_signal.getitimer, _TIMER_NUMBERS),)
    return _NO_TIMER if found == _AT_REST else (*map(any, found),)


def _restore_timers(normal: tuple[bool, ...]) -> None:
    for timer, running in zip(_TIMERS.values(), normal, strict=True):
        if not running:
            signal.setitimer(timer, 0)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - after every job
    except OSError:  # it was removed
        return ""


def _umask() -> int:
    """Return the mask, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _umask_in_job() -> int:
    """Return the mask without setting it, since another thread may be creating a file."""
    with open("/proc/self/status") as file:  # noqa: PTH123 - a kernel file
        return int(next(line for line in file if line.startswith("Umask")).split()[1], 8)


def _restore_environ(normal: tuple[Any, ...]) -> None:
    (os.environ,) = normal


def _restore_variables(normal: dict[bytes, bytes]) -> None:
    kept = os.environb
    for name in kept.keys() - normal.keys():
        del kept[name]
    for name, value in normal.items():
        if kept.get(name) != value:
            kept[name] = value
    time.tzset()  # C code reads TZ only in this call


def _zone() -> tuple[object, ...]:
    return time.tzname, time.timezone


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _restore_priority(normal: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, normal)


def _locale() -> str:
    name: str = _locale_module.setlocale(locale.LC_ALL)
    return name


def _restore_locale(normal: str) -> None:
    locale.setlocale(locale.LC_ALL, normal)


def _restore_path(normal: list[str]) -> None:
    sys.path[:] = normal


def _restore_argv(normal: list[str]) -> None:
    sys.argv[:] = normal


def _streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr


def _restore_streams(normal: tuple[Any, ...]) -> None:
    for name, stream in zip(_STREAMS, normal, strict=True):
        if stream.closed:
            raise ValueError("it is closed")
        setattr(sys, name, stream)


def _interpreter() -> tuple[Any, ...]:
    return tuple([read() for read in _READ_INTERPRETER])


def _restore_interpreter(normal: tuple[Any, ...]) -> None:
    for (read, restore), value in zip(_INTERPRETER.values(), normal, strict=True):
        if read() != value:
            restore(value)


def _restore_filters(normal: list[Any]) -> None:
    warnings.resetwarnings()
    filters: Any = warnings.filters
    filters.extend(normal)


def _showwarning() -> tuple[Any, ...]:
    return (warnings.showwarning,)


def _restore_showwarning(normal: tuple[Any, ...]) -> None:
    """Restore the function, and the state of `logging` about its own function."""
    (function,) = normal
    is_captured = getattr(function, "__module__", "") == "logging"
    logging.captureWarnings(capture=False)
    logging.captureWarnings(capture=is_captured)
    warnings.showwarning = function


def _disabled() -> int:
    return logging.root.manager.disable


def _hooks() -> tuple[Any, ...]:
    return (*_HOOKS_OF_SYS(sys), threading.excepthook)


def _restore_hooks(normal: tuple[Any, ...]) -> None:
    for (owner, name), hook in zip(_HOOKS.values(), normal, strict=True):
        setattr(owner, name, hook)
