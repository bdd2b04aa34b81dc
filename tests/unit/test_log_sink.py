"""Log lines on real files, pipes, sockets and terminals, also when those fail."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import textwrap
from pathlib import Path

import pytest
from support.log_reader import entries, logging_restored, run_python
from support.waiting import wait_until

from gigq.terminal import shorten
from gigqd import logs
from gigqd.config import LogConfig
from gigqd.logs.sink import open_log

log = logs.get_logger("gigqd.test")


@pytest.fixture(autouse=True)
def restored():
    with logging_restored():
        yield


@pytest.fixture(autouse=True)
def blocked_writers_fail():
    """A write that blocks would hang the whole run."""

    def give_up(_number, _frame):
        raise TimeoutError("logging has blocked")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def read_all(fd):
    """What is in a pipe or terminal now."""
    data = b""
    while select.select([fd], [], [], 0)[0] and (part := os.read(fd, 65536)):
        data += part
    return data


def parsed(data):
    return [json.loads(line) for line in data.splitlines()]


def events(data):
    return [entry["event"] for entry in parsed(data)]


def test_a_file_is_appended_to_and_private_to_the_group(tmp_path):
    file = tmp_path / "log"
    file.write_text('{"event": "before"}\n')
    logs.configure(LogConfig(file=file))
    log.info("one")
    new = tmp_path / "new"
    logs.configure(LogConfig(file=new))

    assert [entry["event"] for entry in entries(file)] == ["before", "one"]
    assert new.stat().st_mode & 0o137 == 0


def test_lines_of_many_processes_never_mix(tmp_path):
    file = tmp_path / "log"
    logs.configure(LogConfig(file=file))
    children = []
    for number in range(4):
        if (pid := os.fork()) == 0:
            try:
                logs.configure(LogConfig(file=file), fd=os.dup(logs.sink_fd()), slot=number)
                for turn in range(300):
                    log.info("job_claimed", turn=turn, padding="x" * (turn * 20))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)

    found = entries(file)

    for slot in range(4):
        assert [entry["turn"] for entry in found if entry["slot"] == slot] == list(range(300))


def test_a_file_that_was_moved_away_is_left_at_the_next_line(tmp_path):
    file = tmp_path / "log"
    logs.configure(LogConfig(file=file))
    log.info("one")
    fd = logs.sink_fd()
    file.rename(tmp_path / "log.1")
    log.info("two")

    assert [entry["event"] for entry in entries(tmp_path / "log.1")] == ["one"]
    assert [entry["event"] for entry in entries(file)] == ["two"]
    assert logs.sink_fd() == fd


def test_reopening_starts_the_file_that_has_the_name_now(tmp_path):
    file = tmp_path / "log"
    logs.configure(LogConfig(file=file))
    file.unlink()
    logs.reopen()

    assert file.read_bytes() == b""


def test_a_file_that_cannot_be_opened_again_is_kept(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    logs.configure(LogConfig(file=folder / "log"))
    folder.rename(tmp_path / "moved")
    log.info("one")
    logs.reopen()

    assert [entry["event"] for entry in entries(tmp_path / "moved" / "log")] == [
        "one",
        "log_reopen_failed",
    ]


def test_reopening_standard_error_does_nothing():
    read, write = os.pipe()
    logs.configure(LogConfig(), fd=write)
    logs.reopen()
    log.info("one")

    assert events(read_all(read)) == ["one"]


def test_a_log_never_takes_the_place_of_a_closed_standard_stream(tmp_path):
    result = run_python(
        f"""
        import os, pathlib
        for fd in (0, 1, 2):
            os.close(fd)
        logs.configure(LogConfig(file=pathlib.Path({str(tmp_path / "log")!r})))
        logs.get_logger("x").info("one", fd=logs.sink_fd())
        """
    )

    assert result.returncode == 0
    assert entries(tmp_path / "log")[0]["fd"] >= 3


def test_a_descriptor_that_was_closed_and_given_to_another_file_is_never_written(tmp_path):
    read, write = os.pipe()
    logs.configure(LogConfig(), fd=write)
    os.close(write)
    precious = os.open(tmp_path / "database", os.O_RDWR | os.O_CREAT)
    os.dup2(precious, write)
    log.info("one")

    assert (tmp_path / "database").read_bytes() == b""
    os.close(read)
    os.close(write)


def test_a_log_file_whose_descriptor_was_closed_is_opened_again(tmp_path):
    logs.configure(LogConfig(file=tmp_path / "log"))
    os.close(logs.sink_fd())
    log.info("one")

    assert [entry["event"] for entry in entries(tmp_path / "log")] == ["one"]


def test_an_idle_process_opens_a_closed_log_again_without_an_error(tmp_path):
    logs.configure(LogConfig(file=tmp_path / "log"))
    os.close(logs.sink_fd())

    assert logs.follow() is None
    assert Path(f"/proc/self/fd/{logs.sink_fd()}").readlink() == tmp_path / "log"


def test_a_closed_pipe_costs_lines_and_nothing_else():
    read, write = os.pipe()
    logs.configure(LogConfig(), fd=write)
    os.close(read)
    for _ in range(3):
        log.info("one")
    logs.configure(LogConfig(), fd=write)

    assert logs.sink_fd() == write
    os.close(write)


def test_a_pipe_that_no_process_reads_never_blocks_and_the_loss_is_reported_later():
    read, write = os.pipe()
    logs.configure(LogConfig(), fd=write)
    for number in range(2000):
        log.info("one", number=number, padding="x" * 100)
    before = parsed(read_all(read))
    log.info("two")
    dropped, two = parsed(read_all(read))

    assert [entry["number"] for entry in before] == list(range(len(before)))
    assert (dropped["event"], dropped["count"]) == ("log_dropped", 2000 - len(before))
    assert two["event"] == "two"


def test_long_lines_in_a_pipe_are_whole_or_missing():
    read, write = os.pipe()
    logs.configure(LogConfig(), fd=write)
    for number in range(40):
        log.info("one", number=number, padding="x" * 8000)
    found = parsed(read_all(read))

    assert 2 <= len(found) < 40


def test_a_socket_that_no_process_reads_never_blocks():
    ours, theirs = socket.socketpair()
    logs.configure(LogConfig(), fd=ours.fileno())
    for number in range(5000):
        log.info("one", number=number)
    numbers = [entry.get("number") for entry in parsed(read_all(theirs.fileno()))]
    ours.close()
    theirs.close()

    assert numbers == list(range(len(numbers)))


def test_a_full_device_costs_lines_and_nothing_else(tmp_path):
    with Path("/dev/full").open("wb") as full:
        logs.configure(LogConfig(), fd=full.fileno())
        log.info("one")
        log.info("two")


@pytest.mark.fault("G7")
def test_a_full_disk_costs_lines_and_the_next_good_line_tells_how_many(tmp_path):
    file = tmp_path / "log"
    result = run_python(
        f"""
        import pathlib, resource
        logs.configure(LogConfig(file=pathlib.Path({str(file)!r})))
        log = logs.get_logger("x")
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        for number in range(20):
            log.info("one", number=number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.info("two")
        """
    )
    lines = file.read_bytes().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith(b"}")]
    written = [entry for entry in whole if entry["event"] == "one"]

    assert (result.returncode, result.stderr) == (0, b"")
    assert [entry["event"] for entry in whole[-2:]] == ["log_dropped", "two"]
    assert whole[-2]["count"] == 20 - len(written)
    assert len(lines) - len(whole) <= 1


HOSTILE = """
log.info("worker_ready\\x1b[2J", name="a\\x1b]0;x\\x07b", other="\\u202ec")
logging.getLogger("app").error("two\\nlines\\r\\x9b")
try:
    raise ValueError("in\\x1b[1mside\\nand more")
except ValueError:
    log.exception("child_failed")
"""


def test_a_console_shows_nothing_that_a_terminal_would_obey():
    output = on_terminal(HOSTILE, "format='console'", NO_COLOR="1")
    first, second, third, *traceback = output.splitlines()

    assert all(line.isprintable() for line in output.splitlines())
    assert "worker_ready\\x1b[2J" in first
    assert "two\\nlines\\r\\x9b" in second
    assert "child_failed" in third
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-2:] == ["ValueError: in\\x1b[1mside", "and more"]


def test_a_terminal_gets_one_line_per_event_with_nothing_that_it_would_obey():
    first, second, third = on_terminal(HOSTILE, NO_COLOR="1").splitlines()

    assert all(line.isprintable() and len(line) <= 80 for line in (first, second, third))
    assert "worker_ready\\x1b[2J name=a\\x1b]0;x\\x07b, other=\\u202ec" in first
    assert "two\\nlines\\r\\x9b" in second
    assert third.endswith("error   child_failed     ValueError: in\\x1b[1mside\\nand more")


def test_a_traceback_stands_below_the_line_of_a_terminal_at_level_debug():
    lines = on_terminal(HOSTILE, "level='debug'", NO_COLOR="1").splitlines()

    assert lines[3] == "Traceback (most recent call last):"
    assert lines[-2:] == ["ValueError: in\\x1b[1mside", "and more"]


def test_a_line_about_a_job_names_it_by_the_end_of_its_id_and_is_cut_to_the_width():
    (line,) = on_terminal(
        """
        log.error(
            "job.failed", job_id="0123-456789ab", job="charge", attempt=2, max_attempts=3,
            slot="a/0", duration=0.5, error_type="ValueError", error_message="\\u4e2d" * 50,
        )
        """,
        NO_COLOR="1",
    ).splitlines()
    wide = "\u4e2d" * line.count("\u4e2d")

    assert line[9:] == f"error   job.failed       charge (456789ab) 2/3, ValueError: {wide}..."
    assert 79 <= len(line) + len(wide) <= 80


def test_what_a_job_has_printed_is_written_when_it_is_asked_for():
    body = """
        logs.job_output("never")
        logs.show_output()
        logs.job_output("one\\x1b[2J\\ntwo " + 100 * "x" + "\\n", job_id="1", job="charge")
        logs.job_output(None)
        """
    head, *lines = on_terminal(body, NO_COLOR="1").splitlines()

    assert head[9:] == "output  charge (1) printed:"
    assert lines == ["    | one\\x1b[2J", f"    | two {100 * 'x'}"]


@pytest.mark.parametrize(
    ("environ", "colored"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_has_colors_unless_it_is_asked_not_to(environ, colored):
    assert ("\x1b[" in on_terminal('log.error("one")', **environ)) is colored


def on_terminal(body, config="", **environ):
    """What a program shows on a terminal of its own."""
    main, other = pty.openpty()
    prefix = f"logs.configure(LogConfig({config}))\nlog = logs.get_logger('x')\n"
    result = run_python(prefix + textwrap.dedent(body), environ, stderr=other)
    data = read_all(main)
    os.close(main)
    os.close(other)

    assert result.returncode == 0
    return data.decode().replace("\r\n", "\n")


def test_json_can_be_asked_for_on_a_terminal_and_a_console_in_a_file(tmp_path):
    main, other = pty.openpty()
    logs.configure(LogConfig(format="json"), fd=other)
    log.info("one")
    assert events(read_all(main)) == ["one"]

    logs.configure(LogConfig(format="console", file=tmp_path / "log"))
    log.info("two")

    assert "\x1b" not in (tmp_path / "log").read_text()
    assert "] two" in (tmp_path / "log").read_text()
    os.close(main)
    os.close(other)


def test_a_stopped_terminal_never_blocks_the_writer():
    main, other = pty.openpty()
    logs.configure(LogConfig(format="json"), fd=other)
    os.write(main, b"\x13")
    wait_until(lambda: not select.select([], [other], [], 0)[1])
    for _ in range(100):
        log.info("one")
    os.close(main)
    os.close(other)


def test_opening_a_pipe_without_a_reader_is_an_error_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="it is not a plain file"):
        open_log(tmp_path / "pipe")


def test_a_long_name_leaves_room_for_the_id_of_the_job_and_its_error():
    (line,) = on_terminal(
        """
        log.error(
            "job.failed", job_id="0123-456789ab", job="convert_the_quarterly_video_archive",
            attempt=2, max_attempts=3, error_type="ValueError", error_message="no card",
        )
        """,
        NO_COLOR="1",
    ).splitlines()

    assert line[9:].startswith(
        "error   job.failed       convert_the_quarterl... (456789ab) 2/3, Val"
    )


def test_combining_marks_take_no_room_on_a_terminal():
    assert shorten("e\u0301" * 20, 20) == "e\u0301" * 20
    assert shorten("e\u0301" * 21, 20) == "e\u0301" * 17 + "..."
