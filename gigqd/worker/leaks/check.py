"""Leak check: restoration of the process state after each job, and the leaks that remain."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gigqd.worker.leaks.held_resources import Children, Descriptors, Threads
from gigqd.worker.leaks.import_watch import ContextWatch, watch_imports
from gigqd.worker.leaks.process_settings import merged, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gigqd.worker.leaks.process_settings import Setting
    from gigqd.worker.signal_wakeup import SignalWakeup

_GONE_WITHIN = 0.1
_POLL_INTERVAL = 0.005
_MOST_DETAILS = 8
_LONGEST_DETAIL = 200

Kinds = dict[str, list[str]]


class JobChanges(NamedTuple):
    """The changes that a job has made, by kind, each in words.

    Attributes:
        left: leaks that remain, so that the next job must not run in this process.
        restored: changes that were undone.
    """

    left: Kinds
    restored: Kinds


_NOTHING = JobChanges({}, {})


class LeakCheck:
    """The comparison of this process's state with that before the job.

    Changes during the import of a module, also inside a job, belong to the application and not to
    the job that needed the module first.

    Args:
        signal_wakeup: the worker's own signal handlers.
        allowed: the kinds that jobs may leak; they are neither restored nor compared.
        descriptors_after_job: returns the number of open descriptors after the job, if the worker
            has looked at it already, or 0.
    """

    def __init__(
        self,
        signal_wakeup: SignalWakeup,
        allowed: Collection[str] = (),
        descriptors_after_job: Callable[[], int] = int,
    ) -> None:
        self._settings = [one for one in settings(signal_wakeup) if one.kind not in allowed]
        self._reads = [setting.read for setting in self._settings]
        self._reads_in_job = [one.read_in_job or one.read for one in self._settings]
        held = (Threads(), Children(), Descriptors(descriptors_after_job))
        self._resources: list[Any] = [one for one in held if one.kind not in allowed]
        self._changed = [resource.has_changed for resource in self._resources]
        self._context = ContextWatch()
        self.accept()

    def accept(self) -> None:
        """Accept the present state, between two jobs, as the normal one."""
        self._normal = [read() for read in self._reads]
        for resource in self._resources:
            resource.accept()

    def follow_imports(self) -> None:
        """Accept the changes of all later imports as normal."""
        watch_imports(self._import_begins, self._import_ends)

    def restore(self) -> JobChanges:
        """Restore what a job has changed; return these changes and the remaining leaks.

        The worker calls this after every job, outside the job's context.
        """
        self._context.apply()
        state = [read() for read in self._reads]
        if state == self._normal and not [True for changed in self._changed if changed()]:
            return _NOTHING
        left, restored = self._restore_changed(state)
        left |= self._wait_for_the_rest()
        return JobChanges(left, restored)

    def _restore_changed(self, state: list[Any]) -> tuple[Kinds, Kinds]:
        left: Kinds = {}
        restored: Kinds = {}
        for setting, before, now in zip(self._settings, self._normal, state, strict=True):
            if before != now:
                details = list(setting.changes(before, now))
                why_not = _attempt(setting, before)
                found = left if why_not else restored
                found.setdefault(setting.kind, []).extend(_shortened(details, why_not))
        return left, restored

    def _wait_for_the_rest(self) -> Kinds:
        """Wait up to 0.1 s for threads, children and descriptors; return those that remain."""
        changed = [resource for resource in self._resources if resource.has_changed()]
        until = time.monotonic() + _GONE_WITHIN
        while (left := _left(changed)) and time.monotonic() < until:
            time.sleep(_POLL_INTERVAL)
        if left:
            gc.collect()  # a descriptor in a cycle of garbage is no leak
            left = _left(changed)
        for resource in changed:
            if resource.kind not in left:
                resource.note()
        return left

    # --- imports -----------------------------------------------------------------------------

    def _import_begins(self) -> tuple[Any, ...]:
        state = [read() for read in self._reads_in_job]
        return state, [one.snapshot() for one in self._resources], self._context.snapshot()

    def _import_ends(self, before: tuple[Any, ...]) -> None:
        state, snapshots, variables = before
        for at, (old, read) in enumerate(zip(state, self._reads_in_job, strict=True)):
            if (now := read()) != old:
                self._normal[at] = merged(self._normal[at], old, now)
        for resource, snapshot in zip(self._resources, snapshots, strict=True):
            resource.accept_since(snapshot)
        self._context.accept_since(variables)


def _left(resources: list[Any]) -> Kinds:
    described = {resource.kind: _shortened(resource.left()) for resource in resources}
    return {kind: details for kind, details in described.items() if details}


def _attempt(setting: Setting, value: Any) -> str:
    """Restore a setting; return why that failed, or an empty text."""
    try:
        setting.restore(value)
    except Exception as error:  # noqa: BLE001 - of the kernel, or of an object that a job set
        return f" ({error})"
    return "" if setting.read() == value else " (it did not stay restored)"


def _shortened(details: list[str], suffix: str = "") -> list[str]:
    cut = [detail[:_LONGEST_DETAIL] + suffix for detail in details[:_MOST_DETAILS]]
    more = len(details) - len(cut)
    return [*cut, f"{more} more"] if more else cut
