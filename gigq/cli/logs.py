"""The command `gigq logs`: the output of a job, also while it runs."""

from __future__ import annotations

import codecs
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gigq.cli import arguments, attempts, exit_codes, job_ids, live_output, stored_output
from gigq.cli.answers import not_found
from gigq.cli.attempts import is_abandoned, is_in_plain_worker
from gigq.cli.errors import HiddenOutputError
from gigq.cli.formatting import seconds
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.cli.output import print_json
from gigq.cli.stored_output import StoredOutput
from gigq.cli.why_waiting import why_waiting
from gigq.model.job_status import FINISHED, JobStatus
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.cli.open_queue import ReadQueue
    from gigq.output_file import OutputFile

    Row = Mapping[str, Any]

_READ_INTERVAL = 0.2
_READ_INTERVAL_OF_STORED = 0.4
_LONGEST_KEPT = 2 * 1024 * 1024
_KEY = 32
_RUNNING = JobStatus.RUNNING.value
_OVER = {status.value for status in FINISHED}
_PLAIN = "a plain worker, so what it prints goes where that worker's output goes"

_DETAILS = """\
The daemon keeps only the end of a long output. The output of a running job is
read from the daemon, which only the daemon's account and root may do. On
PostgreSQL others, and other hosts, read what the daemon stores while they use
--follow, once a second."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what, example = "show the output of a job's last attempt", "gigq logs -f ID"
    parser = add_parser(commands, "logs", logs, what, example=example, details=_DETAILS)
    add = parser.add_argument
    add("job_id", metavar="ID", help=job_ids.HELP)
    add("--attempt", type=arguments.count, metavar="N", help="show the attempt N, from 1")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="follow the output until the end of the job, or of the attempt N",
    )
    add_json(how)


def logs(args: Namespace) -> int:
    """Show the output of a job's last attempt, or of another one; follow it with `--follow`."""
    with queue_for_reading(args) as queue:
        return _logs(queue, args)


def _logs(queue: ReadQueue, args: Namespace) -> int:
    args.job_id = job_ids.full_id(queue, args.job_id)
    found = queue.get_status(args.job_id)
    if not found["exists"]:
        return not_found(args, args.job_id)
    if args.follow:
        return Follower(queue, args).run()
    return _show(queue, found, args)


def _show(queue: ReadQueue, found: Row, args: Namespace) -> int:
    chosen = _chosen(found, args.attempt)
    if chosen is None:
        print_notice(_no_attempt(found, args.attempt))
        return exit_codes.NEGATIVE
    printed, host = _live_so_far(queue, chosen)
    if printed is not None:
        # Read the row after the output: a finished attempt's worker may have begun its next job.
        chosen = _again(queue, chosen) or chosen
    if chosen["status"] != _RUNNING:
        printed, host = chosen["output"], None
    if args.json:
        print_json(_shape(args.job_id, chosen, printed))
        return exit_codes.OK
    if not printed and host is None:
        print_notice(_why_nothing(queue, chosen))
    OutputWriter().write(printed or "", ends=True)
    if host is not None:
        print_notice(_on_other_host(args.job_id, chosen, host, printed))
    return exit_codes.OK


def _live_so_far(queue: ReadQueue, one: Row) -> tuple[str | None, str | None]:
    """Return the output of a running attempt so far, and the host that has the rest of it."""
    if one["status"] != _RUNNING or is_in_plain_worker(one):
        return None, None
    try:
        output = live_output.find(queue.place, one)
    except HiddenOutputError:
        if not queue.place.is_shared:
            raise
        return stored_output.so_far(queue, one), stored_output.host_of(queue, one)
    if output is None:
        return None, None
    with closing(output):
        return b"".join(iter(output.read, b"")).decode(errors="replace"), None


def _on_other_host(job_id: str, one: Row, host: str, printed: str | None) -> str:
    stored = "this is the end of what is stored" if printed else "nothing is stored yet"
    return (
        f"attempt {one['attempt']} runs on {host}, and {stored} of its output; "
        f"follow it with gigq logs -f {job_id}, or run gigq logs there"
    )


def _again(queue: ReadQueue, one: Row) -> Row | None:
    executions = queue.get_status(one["job_id"]).get("executions", ())
    return next((row for row in executions if row["id"] == one["id"]), None)


def _chosen(found: Row, attempt: int | None) -> Row | None:
    """Return the last execution, or the last one of an attempt, or None."""
    fitting = [one for one in found["executions"] if attempt in (None, one["attempt"])]
    return fitting[-1] if fitting else None


def _shape(job_id: str, one: Row, printed: str | None) -> dict[str, Any]:
    known = {"execution": one["id"], "attempt": one["attempt"], "status": one["status"]}
    return {"id": job_id, **known, "output": printed}


def _no_attempt(found: Row, attempt: int | None) -> str:
    if not found["executions"]:
        never = "was never started" if found["status"] in _OVER else "has not started yet"
        return f"job {found['id']} {never}; it is {found['status']}"
    return f"job {found['id']} has no attempt {attempt}; it has had {found['attempts']}"


def _why_nothing(queue: ReadQueue, one: Row) -> str:
    which = f"attempt {one['attempt']}"
    if is_abandoned(queue, one):
        return f"nothing is kept of {which} yet: {attempts.why_abandoned(queue)}"
    if is_in_plain_worker(one):
        return f"nothing is kept of {which}: it ran in {_PLAIN}"
    return (
        f"{which} has printed nothing so far, or is ending"
        if one["status"] == _RUNNING
        else f"nothing is kept of {which}: it printed nothing, or its pool has keep_output = 0"
    )


def print_notice(sentence: str) -> None:
    """Print a sentence about the output to standard error."""
    sys.stdout.flush()
    print(f"gigq: {printable(sentence)}", file=sys.stderr, flush=True)


class OutputWriter:
    """A writer of one attempt's output, which keeps the end of it in memory."""

    def __init__(self) -> None:
        self.written = ""

    def write(self, printed: str, *, ends: bool = False) -> None:
        """Write more output; with `ends`, end the last line, too."""
        self.written = (self.written + printed)[-_LONGEST_KEPT:]
        missing = "\n" if ends and self.written and not self.written.endswith("\n") else ""
        sys.stdout.write(printable(printed.replace("\r\n", "\n"), keep="\n\t") + missing)
        sys.stdout.flush()


class Follower:
    """The loop of `--follow`: a job's output as it grows, until the job is finished.

    1. While an attempt runs, show the content of its file in the daemon's memory.
    2. When it is over, show the rest from the stored output, and its outcome.
    3. Wait for the next attempt, unless one was named.
    """

    def __init__(self, queue: ReadQueue, args: Namespace) -> None:
        self._queue = queue
        self._args = args
        self._last: str | None = None
        self._waited = False

    def run(self) -> int:
        """Follow to the end.

        Returns:
            0 when the job, or the attempt that was named, is completed.
        """
        while True:
            found = self._queue.get_status(self._args.job_id)
            if not found["exists"]:
                return not_found(self._args, self._args.job_id)
            one = self._next(found)
            if one is not None:
                over = self._attempt(found, one)
                if self._args.attempt:
                    return _code(over)
            elif found["status"] in _OVER:
                return self._finish(found)
            else:
                self._wait(found)

    def _next(self, found: Row) -> Row | None:
        if self._last is None:
            return _chosen(found, self._args.attempt)
        ids = [one["id"] for one in found["executions"]]
        later = ids.index(self._last) + 1 if self._last in ids else 0
        return found["executions"][later] if later < len(ids) else None

    def _attempt(self, job: Row, one: Row) -> Row:
        self._last = one["id"]
        self._waited = False
        writer = OutputWriter()
        if one["status"] == _RUNNING:
            print_notice(f"attempt {one['attempt']} runs in {one['worker_id']}")
            one = self._while_it_runs(job, one, writer)
        writer.write(continued(writer.written, one["output"] or ""), ends=True)
        print_notice(f"attempt {one['attempt']} ended: {_outcome(one)}")
        return one

    def _while_it_runs(self, job: Row, one: Row, writer: OutputWriter) -> Row:
        """Show an attempt's output until it is over; return its row."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        output: OutputFile | StoredOutput | None = None
        if is_in_plain_worker(one):
            print_notice(f"it runs in {_PLAIN}")
        try:
            while True:
                if output is None and not is_in_plain_worker(one):
                    output = self._output_of(job, one)
                chunk = output.read() if output else b""
                now = _again(self._queue, one) or {**one, "status": "cleared"}
                if now["status"] != _RUNNING:
                    return now
                writer.write(decoder.decode(chunk))
                if not chunk:
                    is_stored = isinstance(output, StoredOutput)
                    time.sleep(_READ_INTERVAL_OF_STORED if is_stored else _READ_INTERVAL)
        finally:
            if output:
                output.close()

    def _output_of(self, job: Row, one: Row) -> OutputFile | StoredOutput | None:
        try:
            return live_output.find(self._queue.place, one)
        except HiddenOutputError:
            if not self._queue.place.is_shared:
                raise
            return StoredOutput(self._queue, job, one, print_notice)

    def _finish(self, found: Row) -> int:
        if self._args.attempt:
            print_notice(_no_attempt(found, self._args.attempt))
            return exit_codes.NEGATIVE
        print_notice(f"job {found['id']} is {found['status']}")
        return _code(found)

    def _wait(self, found: Row) -> None:
        if not self._waited:
            self._waited = True
            why = why_waiting(self._queue, found)
            print_notice(f"job {found['id']} is {found['status']}" + (f": {why}" if why else ""))
        time.sleep(_READ_INTERVAL)


def continued(written: str, stored: str) -> str:
    """Return the rest of `stored`, an output's end, that is not at the end of `written`."""
    stored = stored.lstrip("\ufffd")  # it may begin inside a character
    key = stored[:_KEY]
    for start in range(max(0, len(written) - len(stored)), len(written)):
        overlap = len(written) - start
        if written.startswith(key[:overlap], start) and stored.startswith(written[start:]):
            return stored[overlap:]
    return stored


def _outcome(one: Row) -> str:
    """Return the outcome of an attempt in one line."""
    known = [one["cause"] if one["cause"] != one["status"] else None, one["signal"]]
    if one["exit_code"] is not None:
        known.append(f"exit code {one['exit_code']}")
    known.append(f"after {seconds(one['started_at'], one['completed_at'])}")
    known.append((one["error"] or "").partition("\n")[0] or None)
    return f"{one['status']} ({', '.join(printable(word) for word in known if word)})"


def _code(row: Row) -> int:
    return exit_codes.OK if row["status"] == JobStatus.COMPLETED.value else exit_codes.NEGATIVE
