"""`gigq logs` on another host than the one that runs the job, which shares only the database."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs_that_talk, pgbouncer, postgres_relay, postgres_roles
from support.raw_sql import Program
from support.shell import clean_environment
from support.waiting import wait_until

from gigq.model import clock
from gigq.store.postgres.address import full_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]

ONE = {"pools.default.size": 1}
# A process namespace is another host to gigq: it cannot see the daemon, nor the end of it.
ELSEWHERE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

# Root may look into everything; without CAP_SYS_PTRACE it may not look into a root that has it.
WITHOUT_PTRACE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "gigq", *sys.argv[1:]])
"""

until = partial(wait_until, deadline=60)  # a reader is a new interpreter, which takes long to start


class Reader:
    """A `gigq logs` in the background."""

    def __init__(self, folder: Path, *command: str) -> None:
        number = len(list(folder.glob("out.*")))
        self._out, self._err = (folder / f"{name}.{number}" for name in ("out", "err"))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def raw(self) -> bytes:
        return self._out.read_bytes()

    def out(self) -> str:
        return self.raw().decode()

    def err(self) -> str:
        return self._err.read_text()

    def finish(self) -> int:
        return self.process.wait(60)


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[..., Reader]]:
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a pid namespace")
    begun: list[Reader] = []

    def start(
        daemon: Daemon, *arguments: str, elsewhere: bool = True, code: str = "", db: str = ""
    ) -> Reader:
        run = ["-c", code] if code else ["-m", "gigq"]
        command = [*ELSEWHERE] * elsewhere + [sys.executable, *run, "logs", *arguments]
        begun.append(Reader(tmp_path, *command, "--db", db or daemon.address))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def cues(tmp_path: Path) -> Path:
    folder = tmp_path / "cues"
    folder.mkdir()
    return folder


def talk(daemon: Daemon, cues: Path, *lines: str, fails: int = 0, **options: Any) -> str:
    params = {"cues": str(cues), "lines": lines, "fails": fails}
    options = {"max_attempts": 2, **options}
    return daemon.submit(jobs_that_talk.say_on_cue, "talk", params, **options)


def give(cues: Path, *numbers: int | str) -> None:
    for number in numbers:
        (cues / str(number)).touch()


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def recorder_of(daemon: Daemon) -> int:
    return next(slot["pid"] for slot in daemon.status()["slots"] if slot["role"] == "recorder")


def rows(daemon: Daemon, sql: str) -> list[dict[str, Any]]:
    program = Program(daemon.address)
    try:
        return program.rows(sql)
    finally:
        program.close()


def test_following_shows_each_line_as_it_comes_and_once(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, *["tick"] * 5)
    reader = read(daemon, "-f", job_id)
    for number in range(4):
        give(cues, number)
        until(lambda n=number: reader.out() == "talk: tick\n" * (n + 1))
    give(cues, 4)

    assert reader.finish() == 0
    assert reader.out() == "talk: tick\n" * 5
    assert f"it runs on {os.uname().nodename}, whose daemon stores" in reader.err()
    assert f"job {job_id} is completed" in reader.err()


def test_following_goes_on_with_the_next_attempt(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "hello", "world", fails=1)
    reader = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: reader.out() == "talk: hello\n")
    give(cues, 1)

    assert reader.finish() == 0
    assert reader.out() == "talk: hello\ntalk: world\n" * 2
    assert "attempt 1 ended: failed (error, after" in reader.err()
    assert "attempt 2 ended: completed" in reader.err()


HOSTILE = [
    "no newline",
    " and then\rsome carriage\r\nreturns\r",
    "half of a letter \xc3",
    "\xbc, \xff\xfe invalid, \x00 and \x1b[31m red\n",
    "the end",
]


def test_any_bytes_are_shown_as_on_the_host_itself(daemons, cues, read):
    daemon = daemons(ONE)
    params = {"cues": str(cues), "chunks": HOSTILE}
    job_id = daemon.submit(jobs_that_talk.write_on_cue, "talk", params)
    there, here = read(daemon, "-f", job_id), read(daemon, "-f", job_id, elsewhere=False)
    for number in range(len(HOSTILE)):
        before = len(there.raw()), len(here.raw())
        give(cues, number)
        until(lambda b=before: len(there.raw()) > b[0] and len(here.raw()) > b[1])
    give(cues, "go")

    assert (there.finish(), here.finish()) == (0, 0)
    assert "half of a letter ü, \ufffd\ufffd invalid" in there.out()
    assert there.raw() == here.raw()


def test_of_megabytes_the_end_is_shown_and_little_is_stored(daemons, cues, read):
    daemon = daemons({**ONE, "pools.default.keep_output": "16 KiB"})
    first = talk(daemon, cues, "first")
    job_id = daemon.submit(jobs_that_talk.flood, "flood", {"cues": str(cues), "kilobytes": 5000})
    reader = read(daemon, "-f", job_id)
    until(lambda: "is pending: " in reader.err())
    give(cues, 0)
    daemon.wait_for_job(first, "completed")
    until(lambda: reader.out().endswith("\nthe end\n"))
    (stored,) = rows(daemon, "SELECT sum(octet_length(content)) AS bytes FROM gigq_output_parts")
    give(cues, "go")

    assert reader.finish() == 0
    assert 16_384 <= stored["bytes"] <= 2 * 16_384
    lines = reader.out().splitlines()
    assert len(lines) == len(set(lines))


def test_bytes_that_were_never_stored_are_counted(daemons, cues, read):
    daemon = daemons({**ONE, "pools.default.keep_output": "1 KiB"})
    chunks = ["begin\n", "x" * 10_000 + "\nend\n"]
    params = {"cues": str(cues), "chunks": chunks}
    job_id = daemon.submit(jobs_that_talk.write_on_cue, "talk", params)
    reader = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: reader.out() == "begin\n")
    give(cues, 1)
    until(lambda: reader.out().endswith("x\nend\n"))
    give(cues, "go")

    assert reader.finish() == 0
    assert f"{10_005 - 1024} bytes are left out" in reader.err()
    assert reader.out().count("end") == 1


def test_the_request_of_a_killed_reader_expires_with_what_was_stored(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "two")
    reader = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: reader.out() == "talk: one\n")
    assert rows(daemon, "SELECT 1 AS found FROM gigq_output_parts")

    reader.process.kill()
    until(lambda: not rows(daemon, "SELECT * FROM gigq_output_requests"))

    assert not rows(daemon, "SELECT * FROM gigq_output_parts")
    give(cues, 1)
    daemon.wait_for_job(job_id, "completed")


def test_two_readers_see_the_same_and_the_second_also_what_was_before(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, *"abc")
    first = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: first.out() == "talk: a\n")
    second = read(daemon, "-f", job_id)
    until(lambda: second.out() == "talk: a\n")
    give(cues, 1)
    until(lambda: first.out() == second.out() == "talk: a\ntalk: b\n")
    first.process.kill()
    give(cues, 2)

    assert second.finish() == 0
    assert second.out() == "talk: a\ntalk: b\ntalk: c\n"


def test_a_job_that_ends_before_anything_is_stored_is_shown_whole(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "quick")
    daemon.wait_for_job(job_id, "running")
    with suspended(recorder_of(daemon)):
        reader = read(daemon, "-f", job_id)
        until(lambda: "it runs on" in reader.err())
        give(cues, 0)
        daemon.wait_for_job(job_id, "completed")

        assert reader.finish() == 0
    assert reader.out() == "talk: quick\n"


def test_without_following_what_is_stored_is_shown_and_where_the_rest_is(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "two")
    daemon.wait_for_job(job_id, "running")
    nothing = read(daemon, job_id)
    assert nothing.finish() == 0
    follower = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: follower.out() == "talk: one\n")
    part = read(daemon, job_id)
    assert part.finish() == 0
    data = read(daemon, job_id, "--json")
    assert data.finish() == 0
    give(cues, 1)
    daemon.wait_for_job(job_id, "completed")

    host = os.uname().nodename
    assert (nothing.out(), part.out()) == ("", "talk: one\n")
    assert f"attempt 1 runs on {host}, and nothing is stored yet of its output" in nothing.err()
    assert f"runs on {host}, and this is the end of what is stored of its output" in part.err()
    assert f"follow it with gigq logs -f {job_id}" in part.err()
    assert json.loads(data.out())["output"] == "talk: one\n"


def test_nothing_is_stored_for_a_pool_that_keeps_no_output(daemons, cues, read):
    daemon = daemons({**ONE, "pools.default.keep_output": "0"})
    job_id = talk(daemon, cues, "secret", "more")
    reader = read(daemon, "-f", job_id)
    give(cues, 0)
    until(lambda: "the pool has keep_output = 0" in reader.err())
    assert not rows(daemon, "SELECT * FROM gigq_output_parts")
    give(cues, 1)

    assert reader.finish() == 0
    assert reader.out() == ""


def test_a_host_without_its_server_is_named_with_the_time_of_its_last_word(daemons, cues, read):
    daemon = daemons(ONE, start=False, lease=6)
    direct = daemon.address
    with postgres_relay.relaying_to(direct) as relay:
        daemon.configure({"queue.database": postgres_relay.through(relay, direct)})
        daemon.start()
        daemon.configure({"queue.database": direct})
        job_id = talk(daemon, cues, "one", "two", "three")
        reader = read(daemon, "-f", job_id)
        give(cues, 0)
        until(lambda: reader.out() == "talk: one\n")
        (seen,) = rows(daemon, "SELECT seen_at FROM gigq_processes")

        relay.is_silent = True
        until(lambda: "does not reach the database" in reader.err())

        said = re.search(r"nothing has come from (\S+) since (.+?): its daemon", reader.err())
        assert said is not None
        assert said[1] == os.uname().nodename
        assert clock.in_utc(datetime.fromisoformat(said[2])) >= clock.parse(
            clock.to_seconds(seen["seen_at"])
        )
        relay.is_silent = False
        relay.cut()
        give(cues, 1, 2)
        daemon.wait_for_job(job_id, "completed", within=60)
        assert reader.finish() == 0
        daemon.finish()


def test_a_reader_and_a_daemon_behind_a_pooler_in_transaction_mode(daemons, cues, read):
    daemon = daemons(ONE, start=False)
    direct = daemon.address
    (found,) = rows(daemon, "SELECT current_schema() AS schema")
    with pgbouncer.pooled("transaction", schema=found["schema"], size=3) as pooler:
        address = full_address(pooler, schema=found["schema"], pooler=True)
        daemon.configure({"queue.database": address})
        daemon.start()
        job_id = talk(daemon, cues, "one", "two")
        reader = read(daemon, "-f", job_id)
        give(cues, 0)
        until(lambda: reader.out() == "talk: one\n")
        give(cues, 1)

        assert reader.finish() == 0
        assert reader.out() == "talk: one\ntalk: two\n"
        daemon.queue.close()
        daemon.configure({"queue.database": direct})
        daemon.finish()


def test_a_role_that_may_only_read_sees_what_others_request(daemons, cues, read):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "two")
    with postgres_roles.role(daemon.address, "SELECT ON ALL TABLES IN SCHEMA {schema}") as address:
        reader = read(daemon, "-f", job_id, db=address)
        give(cues, 0)
        until(lambda: "only what others have requested" in reader.err())
        assert reader.out() == ""
        other = read(daemon, "-f", job_id)
        until(lambda: reader.out() == other.out() == "talk: one\n")
        give(cues, 1)

        assert reader.finish() == 0
        assert reader.out() == "talk: one\ntalk: two\n"
        assert "permission denied for table gigq_output_requests" in reader.err()
        assert f"it runs on {os.uname().nodename}\n" in reader.err()


def test_an_account_of_the_same_host_that_may_not_see_the_daemon_reads_what_it_stores(
    daemons, cues, read
):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "two")
    reader = read(daemon, "-f", job_id, elsewhere=False, code=WITHOUT_PTRACE)
    give(cues, 0)
    until(lambda: reader.out() == "talk: one\n")
    give(cues, 1)

    assert reader.finish() == 0
    assert "whose daemon stores the output" in reader.err()
