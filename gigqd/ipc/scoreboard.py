"""The scoreboard: shared memory in which each worker reports its activity.

Each child has a cell. The worker writes its report there, and the supervisor reads it without
waiting; the supervisor writes only the orders at the end of the cell. A cell has room for two
reports. The worker writes into the invalid one and then makes it valid by the number of reports
that it has written. So the last report of a worker that died is complete.
"""

from __future__ import annotations

import errno
import mmap
import struct
from enum import IntEnum
from typing import Any, NamedTuple

from gigq.model.cause import Cause

_COUNT = struct.Struct("<Q")
_REPORT = struct.Struct("<B?xxiQQdddQQ40s40s96s96s")
_NUMBERS = 8  # fields of a report between the activity and its texts
_ORDERS = struct.Struct("<7Q")
_CELLS_USED = struct.Struct("<Q")
_LEASE = struct.Struct("<Q")
_LEASE_AT = _CELLS_USED.size
_LEASE_BITS = 48
_MILLISECONDS = 1000.0
_CAUSES = (None, *Cause)
_CAUSE_BITS = 8
_CELL_BYTES = 1024
_ORDERS_AT = _CELL_BYTES - _ORDERS.size
_TIMES = struct.Struct("<dd")
_TIMES_AT = struct.calcsize("<BxxxiQQ")
_READ_TRIES = 100


class Activity(IntEnum):
    """Activity of a worker."""

    NOTHING = 0
    BOOTING = 1
    IDLE = 2
    BUSY = 3
    SETTLING = 4
    LEAVING = 5


class Orders(NamedTuple):
    """Orders of the supervisor to a worker.

    Attributes:
        leave: exit after the current job.
        to_interrupt: the number of the execution to interrupt; 0 for none.
        cause: why to interrupt it.
        pause_claims: claim nothing.
        stopping: the daemon is stopping.
        peak: the most memory that the worker's tree was seen to use during a job, in bytes.
        peak_of: the number of that job's execution.
        release: the number of the execution during which the worker must settle or release its
            other claims; 0 for none.
    """

    leave: bool = False
    to_interrupt: int = 0
    cause: Cause | None = None
    pause_claims: bool = False
    stopping: bool = False
    peak: int = 0
    peak_of: int = 0
    release: int = 0


class Report(NamedTuple):
    """Last report of a worker.

    Attributes:
        activity: what it is doing.
        attempt: which attempt of the job it runs, from 1.
        started: how many executions it has started.
        settled: how many of them it has settled.
        since: when the activity began, in seconds of the monotonic clock.
        deadline: when the job's time is over, same clock; 0.0 means no limit.
        cpu: the CPU time in seconds that the worker, and those of its children that it has
            waited for, had used when the job began.
        memory_limit: the most memory in bytes that the job's process tree may use; 0 means no
            limit.
        held: how many other claims the worker holds: over and not settled, or not begun.
        latest: the id of the execution that it has begun last, also when that is settled.
        execution: the execution's id, empty when there is none.
        job_id: the job's id, cut to what the cell holds.
        job_name: the job's name, cut to what the cell holds.
        interrupted: the exception that was asked for has been raised in the job.
    """

    activity: Activity = Activity.NOTHING
    attempt: int = 0
    started: int = 0
    settled: int = 0
    since: float = 0.0
    deadline: float = 0.0
    cpu: float = 0.0
    memory_limit: int = 0
    held: int = 0
    latest: str = ""
    execution: str = ""
    job_id: str = ""
    job_name: str = ""
    interrupted: bool = False


class Cell:
    """Cell of one child, for the worker's and for the supervisor's side."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self.index = index
        self._memory = memory
        self._at = index * _CELL_BYTES
        first = self._at + _COUNT.size
        self._reports_at = (first, first + _REPORT.size)
        self._orders_at = self._at + _ORDERS_AT
        self._claim_lease_at = self._at + _ORDERS_AT - _LEASE.size
        self._written = 0
        self._packed = bytes(_REPORT.size)
        self._last = Report()
        self._given = Orders()

    # --- the worker's side -------------------------------------------------------------------

    def write(self, report: Report) -> None:
        """Publish a report, in one piece for any reader."""
        self._packed = _REPORT.pack(
            report.activity,
            report.interrupted,
            report.attempt,
            report.started,
            report.settled,
            report.since,
            report.deadline,
            report.cpu,
            report.memory_limit,
            report.held,
            # Packing cuts each to what the cell holds.
            report.latest.encode("utf-8", "replace"),
            report.execution.encode("utf-8", "replace"),
            report.job_id.encode("utf-8", "replace"),
            report.job_name.encode("utf-8", "replace"),
        )
        self._publish(self._packed)

    def write_settling(self, since: float) -> None:
        """Publish that the job last reported is over and its outcome is being written down.

        Args:
            since: the time now, in seconds of the monotonic clock. There is no deadline any more.
        """
        packed = bytearray(self._packed)
        packed[0] = Activity.SETTLING
        _TIMES.pack_into(packed, _TIMES_AT, since, 0.0)
        self._publish(packed)

    def write_claim_lease(self, number: int) -> None:
        """Publish the number of the lease under which the job that begins was claimed."""
        self._memory[self._claim_lease_at : self._orders_at] = _LEASE.pack(number)

    def _publish(self, packed: bytes | bytearray) -> None:
        count = self._written + 1
        at = self._reports_at[count & 1]
        self._memory[at : at + _REPORT.size] = packed
        # Packed first, here as elsewhere: packing into memory clears it before it is written.
        self._memory[self._at : self._reports_at[0]] = _COUNT.pack(count)
        self._written = count

    @property
    def may_claim(self) -> bool:
        """Return True unless the worker is to exit or claims are suspended."""
        leave, _, pause_claims, *_ = _ORDERS.unpack_from(self._memory, self._orders_at)
        return not (leave or pause_claims)

    @property
    def to_interrupt(self) -> int:
        """Return the number of the execution to interrupt; 0 for none."""
        number: int = _ORDERS.unpack_from(self._memory, self._orders_at)[1] >> _CAUSE_BITS
        return number

    @property
    def release(self) -> int:
        """Return the number of the execution during which to release other claims; 0 for none."""
        number: int = _ORDERS.unpack_from(self._memory, self._orders_at)[6]
        return number

    @property
    def lease(self) -> tuple[int, float]:
        """Return the values of the daemon's lease, which is the same for every child."""
        return _lease_in(self._memory)

    def write_lease(self, number: int, ends: float) -> None:
        """Publish the daemon's lease; its number and its end share a word, as the last orders."""
        word = (number << _LEASE_BITS) + int(ends * _MILLISECONDS)
        self._memory[_LEASE_AT : _LEASE_AT + _LEASE.size] = _LEASE.pack(word % (1 << 64))

    def peak_of(self, number: int) -> int:
        """Return the measured peak memory in bytes of this execution's tree; 0 when unknown."""
        *_, peak, peak_of, _ = _ORDERS.unpack_from(self._memory, self._orders_at)
        return int(peak) if peak_of == number else 0

    def orders(self) -> Orders:
        """Return the current orders."""
        fields = _ORDERS.unpack_from(self._memory, self._orders_at)
        leave, to_interrupt, pause_claims, stopping, *rest = fields
        cause = _CAUSES[to_interrupt & (1 << _CAUSE_BITS) - 1]
        number = to_interrupt >> _CAUSE_BITS
        return Orders(bool(leave), number, cause, bool(pause_claims), bool(stopping), *rest)

    def all_reports(self) -> list[Report]:
        """Return the last report of every child; the recorder needs them all."""
        # Only cells that were in use: reading the others would allocate their memory.
        (used,) = _CELLS_USED.unpack_from(self._memory)
        cells = [Cell(self._memory, index) for index in range(1, used)]
        return [cell.read() for cell in cells if cell._count()]

    # --- the supervisor's side ---------------------------------------------------------------

    def clear(self) -> None:
        """Clear the cell before a worker is forked with it."""
        self._memory[self._at : self._at + _CELL_BYTES] = bytes(_CELL_BYTES)
        self._written = 0
        self._last = Report()
        self._given = Orders()

    def read(self) -> Report:
        """Return the last report of the worker.

        While the worker writes faster than this reads, it is the report that was read before.
        """
        for _ in range(_READ_TRIES):
            count = self._count()
            report = self._unpack(self._reports_at[count & 1])
            if count == self._count():
                self._last = report
                break
        return self._last

    @property
    def claim_lease(self) -> int:
        """The number of the lease under which the worker's last job was claimed; 0 for none."""
        (number,) = _LEASE.unpack_from(self._memory, self._claim_lease_at)
        return int(number)

    def order_leave(self) -> None:
        """Order the worker to exit after its current job."""
        self._give(leave=True)

    def order_interrupt(self, number: int, cause: Cause) -> None:
        """Set the execution to interrupt at the next signal."""
        self._give(to_interrupt=number, cause=cause)

    def pause_claims(self, *, on: bool) -> None:
        """Suspend the worker's claims, or resume them."""
        self._give(pause_claims=on)

    def announce_stop(self) -> None:
        """Show the worker's job that the daemon is stopping."""
        self._give(stopping=True)

    def note_peak(self, number: int, peak: int) -> None:
        """Set the peak memory in bytes of the worker's tree during this execution."""
        if (self._given.peak_of, self._given.peak) != (number, peak):
            self._give(peak=peak, peak_of=number)

    def order_release(self, number: int) -> None:
        """Order the worker to release its other claims while it runs this execution."""
        self._give(release=number)

    def _give(self, **orders: Any) -> None:
        """Change some orders, and publish all of them."""
        self._given = given = self._given._replace(**orders)
        # Number and cause share a word, so that they are read together.
        to_interrupt = given.to_interrupt << _CAUSE_BITS | _CAUSES.index(given.cause)
        leave, _, _, *rest = given
        start = self._orders_at
        self._memory[start : start + _ORDERS.size] = _ORDERS.pack(leave, to_interrupt, *rest)

    def _count(self) -> int:
        """Return how many reports the worker has written."""
        (count,) = _COUNT.unpack_from(self._memory, self._at)
        return int(count)

    def _unpack(self, at: int) -> Report:
        activity, interrupted, *fields = _REPORT.unpack_from(self._memory, at)
        numbers, texts = fields[:_NUMBERS], fields[_NUMBERS:]
        return Report._make((_activity(activity), *numbers, *map(_text, texts), interrupted))


class Scoreboard:
    """Cells in anonymous shared memory, which is mapped before the first fork.

    The first cell's place holds the number of cells that were ever in use, itself included, and the
    daemon's lease.

    Attributes:
        claims_paused: True while claims are suspended, also for new workers.
    """

    def __init__(self, cells: int) -> None:
        self.claims_paused = False
        self._memory = mmap.mmap(-1, (1 + cells) * _CELL_BYTES)
        self._free = list(range(cells, 0, -1))
        self._used = 1

    @property
    def lease(self) -> tuple[int, float]:
        """The values of the daemon's lease, which the recorder renews."""
        return _lease_in(self._memory)

    def take(self) -> Cell:
        """Return a free cell, cleared.

        Raises:
            OSError: every cell is taken.
        """
        if not self._free:
            raise OSError(errno.ENOSPC, "there are as many children as the scoreboard can show")
        cell = Cell(self._memory, self._free.pop())
        self._used = max(self._used, cell.index + 1)
        _CELLS_USED.pack_into(self._memory, 0, self._used)
        cell.clear()
        cell.pause_claims(on=self.claims_paused)
        return cell

    def release(self, cell: Cell) -> None:
        """Clear and free the cell of a worker that was reaped."""
        cell.clear()
        self._free.append(cell.index)


def _lease_in(memory: mmap.mmap) -> tuple[int, float]:
    (word,) = _LEASE.unpack_from(memory, _LEASE_AT)
    number, milliseconds = divmod(word, 1 << _LEASE_BITS)
    return number, milliseconds / _MILLISECONDS


def _activity(number: int) -> Activity:
    try:
        return Activity(number)
    except ValueError:  # a job scribbled over the shared memory
        return Activity.NOTHING


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode(errors="ignore")
