"""The supervisor's loop. It may fork: it has one thread, no database and no user code."""

from __future__ import annotations

import os
import selectors
import signal
import time
from typing import TYPE_CHECKING, Any

from gigq import __version__
from gigq.model.cause import Cause
from gigqd import exit_codes, logs
from gigqd.host.runtime_file_repair import FileRepair
from gigqd.host.systemd import Notifier, scrub, watchdog_interval
from gigqd.ipc.scoreboard import Report, Scoreboard
from gigqd.linux import syscalls
from gigqd.logs.rotation import Rotation
from gigqd.supervisor import daemon_status, startup
from gigqd.supervisor.children import Children
from gigqd.supervisor.commands import Commands
from gigqd.supervisor.open_files_limit import OpenFilesLimit
from gigqd.supervisor.pools import Pools
from gigqd.supervisor.recorder_link import RecorderLink
from gigqd.supervisor.reload import Reloads, discard_reply
from gigqd.supervisor.repeated_leaks import RepeatedLeaks
from gigqd.supervisor.shutdown import Stop
from gigqd.supervisor.signal_pipe import SignalPipe
from gigqd.supervisor.slots import RECORDER, Slot

if TYPE_CHECKING:
    from gigqd.config import Config
    from gigqd.errors import GigqdError
    from gigqd.host.daemonize import Launcher
    from gigqd.host.runtime_files import RuntimeFiles
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.process.child import Child
    from gigqd.supervisor.reload import Reply

log = logs.get_logger(__name__)

_CELLS = 4096
_STALLED_AFTER = 2.0
_RETRY_UNSENT = 0.05
_AGAIN_AFTER = 1.0


class Supervisor:
    """Keeps the pools running.

    1. Waits for the next deadline, signal, message or command, and handles it.
    2. Has `Children` reap children that died, end jobs that overrun, and refill the slots.
    3. Sends exit records to the recorder and keeps them until they are settled.

    Args:
        config: what to run.
        files: the daemon's runtime files; its lock is held.
        launcher: the program that waits until the first worker is up.
    """

    def __init__(self, config: Config, files: RuntimeFiles, launcher: Launcher) -> None:
        self._open_files_limit = OpenFilesLimit(lambda: self._status.ready)
        self._runtime_files = files
        self._launcher = launcher
        self._notifier = Notifier()
        self._watchdog = (watchdog_interval() or 0.0) / 4 or None
        self._run = startup.lock_run(config)
        self._status = daemon_status.DaemonStatus(config, self._run.run)
        self._selector = selectors.DefaultSelector()
        self._signals = SignalPipe()
        origin = (self._run.home, self._run.run)
        board = Scoreboard(_CELLS)
        self._children = Children(config, origin, board, self._selector, self)
        self._lease_watch = startup.lease_watch(config, board, self._children)
        self._pools = Pools(self._children)
        self._reloads = Reloads(self._status, self._children, self._pools, self._notifier)
        self._recorder_link = RecorderLink()
        self._repeated_leaks, self._rotation = RepeatedLeaks(), Rotation()
        self._stop: Stop | None = None
        self._failure: GigqdError | None = None
        self._woke_at, self._interrupted_at = time.monotonic(), 0.0

    # --- the loop ----------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a stop is requested and complete.

        Returns:
            The process's exit code.

        Raises:
            GigqdError: the daemon could not be brought up.
        """
        self._boot()
        steps = (
            self._handle_signals,
            lambda: self._children.step(time.monotonic()),
            self._check_start,
            self._watch_lease,
            self._check_recorder_link,
            self._report_state,
            self._reloads.step,
            lambda: self._repairs.step(time.monotonic()),
            lambda: self._rotation.step(self._status.config.log),
            self._pursue_stop,
            self._open_files_limit.step,
            self._sleep,
        )
        try:
            while (code := self._finished()) is None:
                for step in steps:
                    with self._open_files_limit:
                        step()
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self._abort()
            raise
        self._stop_summary(code)
        return code

    def _sleep(self) -> None:
        """Wait for a signal, a message or the next deadline, whichever is first."""
        now = time.monotonic()
        self._note_stall(now - self._woke_at)
        until = min(self._children.next_step(now), self._reloads.at)
        if self._lease_watch is not None:
            until = min(until, self._lease_watch.next_step(now))
        until = min(until, self._repairs.at if self._status.ready else self._status.start_deadline)
        if self._stop is not None:
            until = min(until, self._stop.next_step(now, self._pools.workers()))
        if self._stop is not None or not self._status.ready:
            until = min(until, self._notifier.extend_timeout_if_due(now))
        if self._watchdog is not None:
            self._notifier.watchdog()
            until = min(until, now + self._watchdog)
        if self._children.flush() | self._commands.flush():
            until = min(until, now + _RETRY_UNSENT)
        until = max(until, now)  # not the time now, so that a stall within these lines counts
        for key, _ in self._selector.select(max(0.0, until - time.monotonic())):
            with self._open_files_limit:
                key.data()
        self._woke_at = time.monotonic()
        self._note_stall(self._woke_at - until)

    def _note_stall(self, late: float) -> None:
        """Restart all time limits after a delay: this process, or the host, was stopped."""
        if late > _STALLED_AFTER:
            log.warning("supervisor_stalled", seconds=round(late, 3))
            self._children.restart_limits(time.monotonic())

    # --- start -------------------------------------------------------------------------------

    def _boot(self) -> None:
        """Handle signals, adopt orphans, kill those of dead runs, open the socket and the slots."""
        log.info("daemon_starting", version=__version__, run=self._status.run)
        scrub(os.environ)
        self._signals.install()
        self._selector.register(self._signals, selectors.EVENT_READ, self._signals.woke)
        syscalls.become_subreaper()
        startup.require_files()
        self._run.begin()
        (files := self._runtime_files).write_pid()
        self._commands = Commands(files, self._selector, self, self._status)
        self._repairs = FileRepair(self._status, files, self._commands.repair, self.begin_stop)
        self._children.preload()
        self._pools.open_recorder()
        self._woke_at = time.monotonic()

    def _check_start(self) -> None:
        """Report readiness once a worker has booted, or end a start that has failed."""
        if self._status.ready or self._stop is not None:
            return
        self._failure = startup.start_failure(self._status, self._recorder_link, self._pools)
        if self._failure is not None:
            self._give_up(self._failure)
        elif self._recorder_link.recovered and self._pools.any_up():
            self._status.ready = True
            log.info("daemon_ready", seconds=round(time.monotonic() - self._status.began, 3))
            self._notifier.ready(self._status.summary_line)
            self._launcher.ready()
            syscalls.release_memory()
        elif reason := self._recorder_link.database_error:
            self._launcher.waits(reason)

    def _give_up(self, failure: GigqdError) -> None:
        """End a failed start; a recorder that has opened the database closes it by a stop."""
        if not self._recorder_link.recovered:
            raise failure
        self.begin_stop(at_once=True)

    # --- reports of children -----------------------------------------------------------------

    def message_received(self, slot_name: str) -> None:
        """Handle the messages that a child has sent."""
        for message in self._children.receive(slot_name):
            if slot_name == RECORDER:
                self._receive_from_recorder(message)
            elif "boot_error" in message:
                startup.note_boot_error(self._children.slots[slot_name], message)
            elif "own_error" in message:
                if child := self._children.child_in(self._children.slots[slot_name]):
                    child.own_error = message["execution"], message["own_error"]
            elif "left" in message:
                self._repeated_leaks.count(message)
            elif "interrupted" in message:
                self._status.note_interrupted(slot_name, message)
                if self._stop is not None:
                    self._stop.note_interrupted(slot_name, message)

    def child_ready(self, slot: Slot, child: Child) -> None:
        """Note that a child has booted."""
        if slot.name == RECORDER:
            self._recorder_link.serve(child.json_socket)

    def child_gone(self, slot: Slot, last: Report, record: ExitRecord) -> None:
        """Note that a child and its process tree are gone."""
        self._status.counters.settled += last.settled
        if slot.name == RECORDER:
            self._recorder_link.serve(None)
            return
        if self._stop is not None:
            self._stop.worker_gone(slot, last, record)
        if record.cause is not None:
            self._recorder_link.add(record)
            self._status.note_failure(slot, last, record)

    def child_stuck(self, slot: Slot) -> None:
        """Open another slot for a child that cannot be killed; its job waits for its end."""
        if self._stop is None:
            self._pools.replace_stuck(slot, self._status.config)

    def _receive_from_recorder(self, message: dict[str, Any]) -> None:
        self._recorder_link.receive(message)
        if "settled" in message:
            self._status.note_settled(message)
            if self._stop is not None:
                self._stop.note_settled(message)
        if self._recorder_link.recovered and not (self._pools.opened or self._stop):
            self._pools.fit(self._status.config)

    def _watch_lease(self) -> None:
        if self._lease_watch is not None:
            self._lease_watch.step(time.monotonic())

    def _check_recorder_link(self) -> None:
        """Forward cancel requests, and suspend claims or time limits after a database error."""
        self._children.cancel(self._recorder_link.cancels)
        watch = self._lease_watch
        pause = self._recorder_link.pause_claims or (watch is not None and watch.is_over)
        self._children.pause_claims(on=self._status.paused or pause)
        if self._recorder_link.database_error:
            self._children.restart_limits(time.monotonic())

    def _report_state(self) -> None:
        """Report a change of the reason why the daemon is degraded to the service manager."""
        watch, link = self._lease_watch, self._recorder_link
        reason = (watch and watch.reason) or link.reason or self._pools.reason()
        if self._status.note_database_error(reason):
            self._notifier.status(self._status.summary_line)

    # --- signals and commands ----------------------------------------------------------------

    def _handle_signals(self) -> None:
        for number in self._signals.take():
            match number:
                case signal.SIGTERM:
                    self.begin_stop()
                case signal.SIGINT:
                    self._interrupted()
                case signal.SIGQUIT:
                    self.begin_stop(at_once=True)
                case signal.SIGHUP:
                    self._reloads.ask(discard_reply)
                case signal.SIGUSR1:
                    if logs.reopen():
                        log.info("log_reopened")
                case signal.SIGUSR2:
                    log.info("status", **self.status())

    def _interrupted(self) -> None:
        """Stop at Ctrl-C; at a second one, at least 1 s later, cut running jobs short."""
        now = time.monotonic()
        again = bool(self._interrupted_at) and now - self._interrupted_at >= _AGAIN_AFTER
        self._interrupted_at = self._interrupted_at or now
        self.begin_stop(at_once=again)

    def status(self) -> dict[str, Any]:
        """Return the answer to `gigqd status`."""
        self._status.unrecorded_exits = len(self._recorder_link)
        return daemon_status.status(self._status, self._children)

    def pause(self, *, on: bool) -> None:
        """Suspend claims until they are resumed; running jobs continue within their limits."""
        if self._status.paused != on:
            self._status.paused = on
            self._check_recorder_link()  # at once: the caller may submit after the answer
            if on:
                log.info("paused")
            else:
                log.info("resumed")
            self._notifier.status(self._status.summary_line)

    def reload(self, reply: Reply) -> None:
        """Reload the configuration from disk, or refuse it."""
        self._reloads.ask(reply)

    # --- stop --------------------------------------------------------------------------------

    def begin_stop(self, *, at_once: bool = False) -> Stop:
        """Begin a stop: running jobs may finish until the deadline, or are cut short at once."""
        now = time.monotonic()
        if self._stop is None:
            timeout = self._status.config.daemon.stop_timeout
            self._stop = Stop(now + timeout, self._pools.busy())
            self._status.stopping = True
            log.info("drain_started", busy=len(self._stop.busy), timeout=timeout)
            self._notifier.stopping("draining")
            self._children.announce_stop()
            self._pools.retire_workers()
        if at_once:
            self._stop.cut_short(now)
        return self._stop

    def _pursue_stop(self) -> None:
        if self._stop is not None:
            self._stop.step(self._children, self._pools, len(self._recorder_link))

    def _finished(self) -> int | None:
        """Return the exit code once a stop is complete; None before."""
        return self._stop.exit_code(self._children) if self._stop is not None else None

    def _stop_summary(self, code: int) -> None:
        """Send the summary to the clients that wait for the stop, and end the run."""
        assert self._stop is not None
        summary = self._stop.summary(code, unrecorded=len(self._recorder_link))
        log.info("daemon_stopped", **summary)
        self._commands.close({"ok": True, **summary})
        self._run.end(orderly=code == exit_codes.OK)

    def _abort(self) -> None:
        """Kill every child's process tree before an error ends the daemon."""
        until = time.monotonic() + 5.0
        for slot in list(self._children.slots.values()):
            slot.retired = True
            self._children.kill(slot, Cause.CRASHED, time.monotonic())
        while self._children.slots and time.monotonic() < until:
            self._children.step(time.monotonic())
        self._commands.close(None)
        self._run.end(orderly=False)
