"""The child manager: the slots and the children in them."""

from __future__ import annotations

import functools
import importlib
import selectors
from typing import TYPE_CHECKING, Any, Protocol

from gigq.model.cause import Cause
from gigqd import logs
from gigqd.ipc.scoreboard import Activity, Report, Scoreboard
from gigqd.linux import syscalls
from gigqd.process import reap, spawn
from gigqd.process.child import Child
from gigqd.process.concurrent_kills import STUCK_AFTER, ConcurrentKills
from gigqd.supervisor.child_setup import ChildSetup
from gigqd.supervisor.exit_reports import add_job_details, log_exit, log_interruption
from gigqd.supervisor.memory_monitor import MemoryMonitor
from gigqd.supervisor.restart_policy import Restarts
from gigqd.supervisor.slots import RECORDER, Action, Limits, Phase, Slot
from gigqd.time_slice import TimeSlice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gigqd.config import Config
    from gigqd.ipc.exit_record import ExitRecord

log = logs.get_logger(__name__)

BUSY_INTERVAL = 0.05
_SLOTS_SECONDS = 0.008


class ChildEvents(Protocol):
    """Callbacks of the child manager; the supervisor implements them."""

    def message_received(self, slot_name: str) -> None:
        """Handle what a child has sent."""

    def child_ready(self, slot: Slot, child: Child) -> None:
        """Note that a child has booted."""

    def child_gone(self, slot: Slot, report: Report, record: ExitRecord) -> None:
        """Note that a child and its process tree are gone."""

    def child_stuck(self, slot: Slot) -> None:
        """Note that a process of a child's tree survives SIGKILL."""


class Children:
    """Keeps a working child in every slot.

    1. Forks a child for each slot that needs one, as fast as the restart policy allows.
    2. Reads the children's reports on the scoreboard, and notices their exits.
    3. Interrupts a job that is to end, and then kills the child's whole process tree.
    4. Reaps children that died, and reports the exit record to the supervisor.
    """

    def __init__(
        self,
        config: Config,
        origin: tuple[str, str],
        board: Scoreboard,
        selector: selectors.BaseSelector,
        events: ChildEvents,
    ) -> None:
        self.slots: dict[str, Slot] = {}
        self._children: dict[str, Child] = {}
        self._config = config
        self._board = board
        self._selector = selector
        self._events = events
        self._canary_configs: dict[str, tuple[Config, int]] = {}
        self._child_setup = ChildSetup(origin, board, selector)
        self.restarts = Restarts()
        self._monitor = MemoryMonitor()
        self._kills = ConcurrentKills()
        self._watches, self._forks = TimeSlice(_SLOTS_SECONDS), TimeSlice(_SLOTS_SECONDS)
        self._generation = 1
        self._roles: dict[int, Callable[[spawn.ChildContext], int]] = {
            is_recorder: importlib.import_module(module).main
            for is_recorder, module in enumerate(("gigqd.worker.worker", "gigqd.recorder.recorder"))
        }

    # --- orders of the supervisor ------------------------------------------------------------

    def preload(self) -> None:
        """Load before the first fork what every child needs, so that all share its memory."""
        importlib.import_module("gigqd.worker.preload").preload(self._config)
        spawn.settle_memory()

    def use(self, config: Config, generation: int) -> None:
        """Use this configuration, of this generation, for all children forked from now on."""
        self._config = config
        self._generation = generation

    def add(
        self, name: str, pool: str, limits: Limits, trial: tuple[Config, int] | None = None
    ) -> Slot:
        """Open a slot.

        Args:
            name: the slot's name.
            pool: its pool's name.
            limits: the time limits of its children.
            trial: the configuration and generation of a canary; None for those in use.
        """
        if trial is not None:
            self._canary_configs[name] = trial
        return self.slots.setdefault(name, Slot(name, pool, limits))

    def retire(self, slot: Slot) -> None:
        """Let a slot's child finish its job and exit, and close the slot then."""
        slot.retired = True
        self.replace(slot)

    def replace(self, slot: Slot) -> None:
        """Let a slot's child finish its job and exit; a slot that stays gets another child."""
        child = self._children.get(slot.name)
        if child is None:
            self.restarts.reset_breaker(slot)
            slot.end_backoff()
        elif not slot.leaving:
            slot.leaving = True
            child.order_leave()

    def kill(self, slot: Slot, cause: Cause, now: float) -> None:
        """Kill a slot's child with its whole process tree."""
        child = self._children.get(slot.name)
        if child is not None and child.treekill is None:
            slot.begin_end(now, cause)
            self._kills.add(child.pid, child.begin_tree_kill(), child.tag)

    def request_end(self, slot: Slot, cause: Cause, grace: float | None = None) -> None:
        """Interrupt the job of a slot's child, if it runs one, and kill the child after a grace.

        Args:
            slot: the slot.
            cause: the cause to record.
            grace: seconds between interruption and kill; None for the slot's own.
        """
        child = self._children.get(slot.name)
        last = child.cell.read() if child else Report()
        if last.activity is Activity.BUSY:
            slot.request_end(last.started, cause, grace)

    def cancel(self, executions: Collection[str]) -> None:
        """End those of these executions that run in a child."""
        for slot in self.slots.values() if executions else ():
            child = self._children.get(slot.name)
            if child is not None and child.cell.read().execution in executions:
                self.request_end(slot, Cause.CANCELLED)

    def pause_claims(self, *, on: bool) -> None:
        """Suspend the claims of all workers, or resume them; running jobs continue."""
        if self._board.claims_paused != on:
            self._board.claims_paused = on
            for child in self._children.values():
                child.pause_claims(on=on)

    def announce_stop(self) -> None:
        """Show the running jobs that the daemon is stopping."""
        for child in self._children.values():
            child.cell.announce_stop()

    def restart_limits(self, now: float) -> None:
        """Count every time limit of a child from now: until now it could not work."""
        for slot in self.slots.values():
            slot.limits_count_from = now

    # --- one step of the loop ----------------------------------------------------------------

    def step(self, now: float) -> None:
        """Do what each slot needs; those for which the time slice is too short follow next time.

        Forks are slow where memory or time is short. They must not delay the other children.
        """
        self._watches.serve(self._children, lambda name: self._attend(name, now))
        empty = [name for name in self.slots if name not in self._children]
        self._forks.serve(empty, lambda name: self._fill(self.slots[name], now))
        self._kills.step({child.pid for child in self.children()})
        self._check_trees(now)
        reap.reap_adopted(syscalls.own_children(), {child.pid for child in self.children()})

    def _check_trees(self, now: float) -> None:
        up = ((self.slots[name], child) for name, child in self._children.items())
        alive = [(slot, child) for slot, child in up if child.treekill is None]
        for slot in self._monitor.step(alive, now):
            self.replace(slot)

    def next_step(self, now: float) -> float:
        """Return when `step` is due again at the latest, in seconds of the monotonic clock."""
        if self._watches.behind or self._forks.behind or self._monitor.unfinished:
            return now
        return min((self._next_check_at(slot, now) for slot in self.slots.values()), default=now)

    def _next_check_at(self, slot: Slot, now: float) -> float:
        child = self._children.get(slot.name)
        if child is None:
            return slot.wake_at(Report())
        if child.treekill is not None:
            return self._kills.next_step(child.pid)
        report = child.cell.read()
        watched = slot.phase is Phase.INTERRUPTED or child.is_active(report)
        check_again = now + BUSY_INTERVAL if watched else float("inf")
        return min(check_again, slot.wake_at(report))

    def children(self) -> Iterator[Child]:
        """Return an iterator over the children that are not reaped."""
        return iter(self._children.values())

    def child_in(self, slot: Slot) -> Child | None:
        """Return the child in a slot; None while it is empty."""
        return self._children.get(slot.name)

    def is_up(self, slot: Slot) -> bool:
        """Return True when a slot's child has booted."""
        child = self._children.get(slot.name)
        return child is not None and child.booted

    def receive(self, slot_name: str) -> list[dict[str, Any]]:
        """Return the messages of a slot's child, without mere wakeups."""
        child = self._children.get(slot_name)
        if child is None:
            return []
        messages = child.json_socket.receive()
        if child.json_socket.ended:
            self._stop_listening(child)
        return messages

    def flush(self) -> bool:
        """Send queued messages to children; return True when some are still queued."""
        for child in self._children.values():
            child.json_socket.flush()
        return any(child.json_socket.has_unsent for child in self._children.values())

    # --- one slot ----------------------------------------------------------------------------

    def _attend(self, name: str, now: float) -> None:
        slot, child = self.slots[name], self._children[name]
        if child.treekill is not None:
            self._continue_tree_kill(slot, child, now)
        elif child.exit_record() is not None:
            self._events.message_received(slot.name)  # its last messages come before its exit
            slot.begin_end(now, None)
            self._kills.add(child.pid, child.begin_tree_kill(), child.tag)
        else:
            self._watch(slot, child, now)

    def _fill(self, slot: Slot, now: float) -> None:
        if slot.retired:
            self._close(slot)
        elif slot.step(now, Report()) is Action.SPAWN:
            wait = self.restarts.wait(slot, now)
            if wait:
                slot.wait(now + wait, now)
            else:
                self._spawn(slot, now)

    def _close(self, slot: Slot) -> None:
        del self.slots[slot.name]
        self._canary_configs.pop(slot.name, None)

    def _watch(self, slot: Slot, child: Child, now: float) -> None:
        report = child.cell.read()
        child.note(report, now)
        child.trim_output()
        match slot.step(now, report):
            case Action.READY:
                self._up(slot, child)
            case Action.INTERRUPT:
                log_interruption(slot, child, report)
                child.order_interrupt(report.started, slot.interruption_cause)
            case Action.INTERRUPT_AGAIN:
                child.interrupt_again()
            case Action.DUMP_STACKS:
                log_interruption(slot, child, report)
                child.ask_for_stacks()
            case Action.KILL:
                self._kills.add(child.pid, child.begin_tree_kill(), child.tag)
            case _ if child.is_disconnected(now):
                self.kill(slot, Cause.CRASHED, now)

    def _up(self, slot: Slot, child: Child) -> None:
        child.booted = True
        log.info("worker_ready", slot=slot.name, pid=child.pid)
        if self.restarts.booted(slot):
            log.info("pool_breaker_closed", pool=slot.pool)
        self._events.child_ready(slot, child)

    # --- fork --------------------------------------------------------------------------------

    def _spawn(self, slot: Slot, now: float) -> None:
        config, generation = self._canary_configs.get(slot.name, (self._config, self._generation))
        try:
            pid, context, ours = self._child_setup.fork(
                slot, config, self._roles[slot.name == RECORDER]
            )
        except OSError as error:
            slot.spawn_failed(now, f"cannot fork: {error.strerror}")
            log.error("worker_spawn_failed", slot=slot.name, error=str(error))
            return
        slot.spawned(now)
        self._children[slot.name] = Child(pid, context, ours, now, generation)
        on_message = functools.partial(self._events.message_received, slot.name)
        self._selector.register(ours, selectors.EVENT_READ, on_message)
        log.info("worker_spawned", slot=slot.name, pid=pid, generation=slot.generation)

    # --- exit --------------------------------------------------------------------------------

    def _continue_tree_kill(self, slot: Slot, child: Child, now: float) -> None:
        treekill = child.treekill
        assert treekill is not None
        nothing_left = treekill.done
        child.killed_at = treekill.killed_at
        record = child.exit_record()
        if nothing_left and record is not None:
            self._remove(slot, child, record, now)
        elif now - slot.since > STUCK_AFTER:
            first = slot.phase is not Phase.STUCK
            slot.stuck(now)
            log.error("tree_kill_incomplete", slot=slot.name, pid=child.pid, denied=treekill.denied)
            if first:
                self._events.child_stuck(slot)

    def _remove(self, slot: Slot, child: Child, record: ExitRecord, now: float) -> None:
        report = child.cell.read()
        child.note_use_at_kill()
        oom = slot.cause is None and self._monitor.was_oom(child, record)
        cause = slot.died(now, record, report, booted=child.booted, oom=oom)
        child.reap()
        self._kills.remove(child.pid)
        record = add_job_details(record._replace(cause=cause), slot, child, report, now)
        log_exit(slot, child, report, record)
        if slot.phase is Phase.BACKOFF and self.restarts.failed(slot, now):
            log.error("pool_breaker_open", pool=slot.pool, why=slot.why_down)
        del self._children[slot.name]
        if slot.retired:
            self._close(slot)
        self._stop_listening(child)
        child.close()
        self._board.release(child.cell)
        self._events.child_gone(slot, report, record)

    def _stop_listening(self, child: Child) -> None:
        if child.listening:
            child.listening = False
            self._selector.unregister(child.json_socket)
