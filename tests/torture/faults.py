"""Playing the plan: each fault is done to the daemon, or to those around it, and undone in time."""

from __future__ import annotations

import heapq
import itertools
import resource
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import TYPE_CHECKING

from torture import places
from torture.burst import Burst
from torture.inspections import Looks
from torture.victims import Gone, Victim

from gigqd import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.crowd import Crowd
    from torture.daemon import Daemon
    from torture.lifecycle import Answer, Life
    from torture.notes import Notes
    from torture.plan import Fault

_NUMBERS: dict[str, Signals] = {"kill": SIGKILL, "term": SIGTERM, "freeze": SIGSTOP}
_KILLED_WHILE_STARTING = 0.3
_BEFORE_A_SWEEP = 0.1
"""Seconds in which no daemon gets as far as to end what the one before it has left."""

_CHILDREN_DIE_WITHIN = 0.5
_AFTER_A_SHORTAGE = 1.0
"""Seconds after which a process has taken the descriptors that it needs."""

_OF_DATABASE = ("database", "disk", "server")
_BY_OTHERS = ("siege", "look")

_PUT_BACK_WITHIN = 7.0
"""Seconds after which a daemon has put its deleted files back; commands may fail till then."""

_NEIGHBOUR_IS_DOWN = 10
"""How many times as long as the daemon its neighbour stays down: the daemon takes over its work."""


class Faults:
    """Does what the plan says.

    Args:
        daemon: whom it is done to.
        crowd: the submitters.
        notes: what is counted.
    """

    def __init__(self, daemon: Daemon, crowd: Crowd, notes: Notes) -> None:
        self.life: Life
        self.neighbour: Life
        self.looks = Looks(daemon, notes, self.disturbed_since)
        self._daemon = daemon
        self._database = daemon.database
        self._crowd = crowd
        self._notes = notes
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._frozen: dict[str, Victim] = {}
        self._starved = 0
        self._limits: dict[int, tuple[int, int]] = {}
        self.is_over = False
        self._burst = Burst(self, daemon, crowd, notes)
        self._other_config = places.other_project(daemon)
        self._clear_since = 0.0
        self._variant = 0

    @property
    def is_free(self) -> bool:
        """Whether the daemon can take a command now."""
        return self.life.is_settled and "supervisor" not in self._frozen

    def is_possible(self, fault: Fault) -> bool:
        """Whether it can be played now; else it has to wait."""
        if fault.target in _OF_DATABASE:
            return self._database.is_possible(fault)
        if fault.target == "neighbour":
            return self.neighbour.is_settled
        if fault.target == "submitter":
            return True
        if fault.target in ("worker", "recorder"):
            return self.life.state == "up"
        if fault.what == "kill":
            return self.life.is_settled
        return self.is_free

    def play(self, fault: Fault) -> None:
        """Do it now."""
        if fault.target in ("worker", "recorder"):
            self._signal_child(fault)
        elif fault.target == "supervisor":
            self._signal_supervisor(fault)
        elif fault.target == "neighbour":
            self._end_neighbour(fault)
        elif fault.target in _OF_DATABASE and fault.what not in _BY_OTHERS:
            self._database.play(fault, self.do_later)
        else:
            getattr(self, f"_{fault.what.replace('-', '_')}")(fault)

    def tend(self) -> None:
        """Undo what was to last until now."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        self._database.tend()
        self.looks.tend()

    def disturbed_since(self, moment: float) -> bool:
        """Whether database, disk or descriptors were not to be had at some time since a moment."""
        if self._starved or self._clear_since > moment:
            return True
        return self._database.disturbed_since(moment)

    def undo(self) -> None:
        """Undo everything at once."""
        self.is_over = True
        while self._later:
            heapq.heappop(self._later)[2]()
        self._database.undo()

    # --- signals ---------------------------------------------------------------------------------

    def _signal_child(self, fault: Fault) -> None:
        if self.life.state != "up":
            return
        self.ask_status()
        with suppress(Gone):
            victim = self._daemon.child(fault.target, fault.pick)
            if fault.what == "starve":
                self._starve(fault, victim)
                return
            self._signal(fault, victim, f"{fault.target} {victim.pid}")

    def _signal_supervisor(self, fault: Fault) -> None:
        if fault.what == "kill":
            self._notes.did("SIGKILL supervisor")
            self.ask_status()
            children = self._daemon.children()
            self.life.kill(fault.start, fault.seconds)
            died = time.monotonic()
            self.do_later(fault.seconds + _BEFORE_A_SWEEP, lambda: self._mourn(died, children))
            if fault.pick < _KILLED_WHILE_STARTING:
                self.do_later(fault.seconds + fault.pick, lambda: self._kill_again(fault))
            return
        with suppress(Gone):
            if fault.what == "starve":
                self._starve(fault, self._daemon.supervisor())
                return
            self._signal(fault, self._daemon.supervisor(), "supervisor")

    def _mourn(self, died: float, children: list[Victim]) -> None:
        """Children die with their supervisor, before the next one could see to it."""
        seconds = time.monotonic() - died
        for child in children:
            if seconds > _CHILDREN_DIE_WITHIN and not child.runs_no_more:
                text = f"process {child.pid} runs {seconds:.1f} s after its supervisor"
                self._notes.wrong("survivor", text)
            child.close()

    def _kill_again(self, fault: Fault) -> None:
        if self.life.state == "starting":
            self._notes.did("SIGKILL supervisor while it starts")
            self.life.kill(fault.start, 0.0)

    def ask_status(self) -> None:
        """Ask the daemon for its status, unless it is frozen, and note how long that took."""
        if "supervisor" not in self._frozen:
            began = time.monotonic()
            self._daemon.status()
            self._notes.took("an answer to status", time.monotonic() - began)

    def _signal(self, fault: Fault, victim: Victim, name: str) -> None:
        number = _NUMBERS[fault.what]
        if not victim.send(number):
            victim.close()
            return
        fields = {"victim": victim.pid, "seconds": fault.seconds}
        self._notes.did(f"{number.name} {fault.target}", **fields)
        if number is SIGSTOP and name not in self._frozen:
            self._frozen[name] = victim
            self.do_later(fault.seconds, lambda: self._thaw(name))
        else:
            victim.close()

    def _thaw(self, name: str) -> None:
        victim = self._frozen.pop(name)
        victim.send(SIGCONT)
        victim.close()

    def _starve(self, fault: Fault, victim: Victim) -> None:
        """Leave a process no descriptor for a while, or one or two."""
        with suppress(OSError):  # it has just ended
            count = sum(1 for _ in Path(f"/proc/{victim.pid}/fd").iterdir()) + int(fault.pick * 3)
            limits = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
            # A second shortage of the same process must not take the first one for its own limit.
            before = self._limits.setdefault(victim.pid, limits)
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (count, before[1]))
            self._notes.did(f"no descriptors for the {fault.target}", seconds=fault.seconds)
            self._starved += 1
            self.do_later(fault.seconds, lambda: self._feed(victim, before))
            return
        victim.close()

    def _feed(self, victim: Victim, limits: tuple[int, int]) -> None:
        self._limits.pop(victim.pid, None)
        if not victim.has_ended:
            with suppress(OSError):
                resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, limits)
        victim.close()
        self._starved, self._clear_since = self._starved - 1, time.monotonic() + _AFTER_A_SHORTAGE

    # --- the others ------------------------------------------------------------------------------

    def _kill(self, fault: Fault) -> None:
        self._crowd.kill_one(fault.pick)

    def _siege(self, fault: Fault) -> None:
        """While the database is locked a worker dies, and then the recorder that knows of it."""
        self._database.play(replace(fault, what="lock"), self.do_later)
        for seconds, target in ((0.3, "worker"), (0.6, "recorder")):
            victim = replace(fault, what="kill", target=target)
            self.do_later(seconds, partial(self._signal_child, victim))

    def _look(self, fault: Fault) -> None:
        self.looks.look(fault.pick)

    def _end_neighbour(self, fault: Fault) -> None:
        if fault.what == "kill":
            self._notes.did("SIGKILL neighbour")
            self.neighbour.kill(fault.start, fault.seconds * _NEIGHBOUR_IS_DOWN)
        else:
            self._notes.did("stop of the neighbour")
            self.neighbour.stop(now=fault.now, start=fault.start, pause=fault.seconds)

    def _reload(self, fault: Fault) -> None:
        self._notes.did("reload")
        self._variant = int(fault.pick * 100)
        self._daemon.configure(self._variant)
        self.life.command("reload", lambda answer: self.life.expect(answer, exit_codes.OK))

    def _many(self, _fault: Fault) -> None:
        self._burst.begin(self._variant)

    def _reload_broken(self, _fault: Fault) -> None:
        self._notes.did("reload of a broken file")
        self._daemon.configure(self._variant, '[pools.default\nsize = "many"\n')
        self.life.command("reload", self._refused)

    def _refused(self, answer: Answer) -> None:
        self._daemon.configure(self._variant)
        self.life.expect(answer, exit_codes.BAD_CONFIG)

    def _bounce(self, fault: Fault) -> None:
        self._notes.did("stop --now" if fault.now else "stop")
        self.life.stop(now=fault.now, start=fault.start, pause=fault.seconds)

    def _rival(self, _fault: Fault) -> None:
        self._notes.did("second daemon")
        self.life.command(
            "run", lambda answer: self.life.expect(answer, exit_codes.ALREADY_RUNNING)
        )

    def _other_project(self, fault: Fault) -> None:
        (name, *options), code = places.command_of_other_project(fault.pick)
        self._notes.did(f"{name} of another project with the same runtime_dir")
        config = self._other_config
        self.life.command(
            name, lambda answer: self.life.expect(answer, code), *options, config=config
        )

    def _delete(self, fault: Fault) -> None:
        self._notes.did(f"deletion of the {places.delete(self._daemon, fault.pick)}")
        self._clear_since = time.monotonic() + _PUT_BACK_WITHIN

    def do_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something when the time has come, or at the end of the faults."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), action))
