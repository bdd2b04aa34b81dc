"""The answer to `gigqd status` as a person sees it."""

import time

import pytest

from gigqd.cli.daemon_view import describe

SLOT = {
    "slot": "default/0",
    "pool": "default",
    "role": "worker",
    "pid": 12,
    "state": "busy",
    "job_id": "01a22572-4a4e-703f-a89a-173e24bd4df2",
    "job": "resize",
    "attempt": 2,
    "execution": "0191",
    "elapsed": 3.21,
    "timeout": 300.0,
    "rss": 30 * 1024 * 1024,
    "jobs_done": 41,
    "restarts": 1,
    "last_exit": "timeout: signal SIGKILL",
}
IDLE = {
    **SLOT,
    **dict.fromkeys(("pid", "job_id", "job", "elapsed", "timeout", "rss", "last_exit")),
    "slot": "mail/10",
    "state": "backoff",
}
ANSWER = {
    "ok": True,
    "state": "degraded",
    "reason": "mail/10 cannot boot: no module",
    "name": "default",
    "pid": 7,
    "version": "1.2.3",
    "started_at": "2026-11-23T19:09:12+00:00",
    "uptime": 7384.0,
    "generation": 3,
    "config": "/etc/gigq.toml",
    "database": "/var/lib/gigqd/jobs.db",
    "pools": [{"name": "default", "size": 1}, {"name": "mail", "size": 1}],
    "slots": [SLOT, IDLE],
    "counters": {"settled": 41, "timeouts": 1, "oom": 0},
}
BAD_END = {
    "at": "2026-11-23T19:09:12.345+00:00",
    "slot": "default/0",
    "cause": "timeout",
    "job_id": "01a22572-4a4e-703f-a89a-173e24bd4df2",
    "job": "resize",
    "attempt": 2,
    "execution": "0191",
    "exit_code": None,
    "signal": "SIGKILL",
    "wall_time": 75.2,
    "cpu_time": 0.31,
    "peak_memory": 120 * 1024 * 1024,
    "late": 0.0123,
    "killed": 3,
    "status": "pending",
}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_state_reason_and_place_come_first():
    assert describe(ANSWER).splitlines()[:7] == [
        "gigqd is degraded: mail/10 cannot boot: no module",
        "  pid         7, up 2h3m since 2026-11-23 19:09:12+00:00",
        "  version     1.2.3, generation 3",
        "  config      /etc/gigq.toml",
        "  database    /var/lib/gigqd/jobs.db",
        "  pools       default 1, mail 1",
        "  since start 41 settled, 1 timeouts",
    ]


def test_every_slot_is_a_line_with_its_job_and_limit():
    header, busy, backoff = describe(ANSWER).splitlines()[8:]

    assert header.split()[:6] == ["SLOT", "PID", "STATE", "JOB", "ID", "TIME/LIMIT"]
    assert busy.split()[3:7] == ["resize", "(attempt", "2)", "24bd4df2"]
    assert busy.endswith("  timeout: signal SIGKILL")
    assert "3.21s/5m    30 MiB" in busy
    assert backoff.split() == ["mail/10", "-", "backoff", *"----", "41", "1", "-"]


def test_idle_slots_have_no_column_of_ids():
    header, idle = describe({**ANSWER, "slots": [IDLE]}).splitlines()[8:]

    assert "ID" not in header.split()
    assert idle.split() == ["mail/10", "-", "backoff", *"---", "41", "1", "-"]


def test_a_daemon_without_slots_is_described():
    assert describe({**ANSWER, "slots": []}).splitlines()[-1].startswith("SLOT ")


def test_the_columns_are_aligned():
    header, busy, backoff = describe(ANSWER).splitlines()[8:]

    assert header.index("STATE") == busy.index("busy") == backoff.index("backoff")


def test_a_job_name_cannot_move_the_cursor():
    slot = {**SLOT, "job": "\x1b[2Jevil\n"}

    assert "\\x1b[2Jevil\\n" in describe({**ANSWER, "slots": [slot]})


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"state": "running", "reason": None}, "gigqd is running"),
        (
            {"degraded_since": "2026-11-23T19:10:00+00:00", "reason": "database is locked"},
            "gigqd is degraded: database is locked (since 2026-11-23 19:10:00+00:00)",
        ),
        (
            {"state": "paused", "reason": None, "paused": True},
            "gigqd is paused: it starts no jobs until `gigqd resume`",
        ),
        ({"paused": True, "reason": "locked"}, "gigqd is degraded, and paused: locked"),
        ({"name": "mail", "reason": None}, "gigqd mail is degraded"),
    ],
)
def test_the_first_line_says_how_it_is_and_why(changes, headline):
    assert describe({**ANSWER, **changes}).splitlines()[0] == headline


def test_the_memory_of_a_jobs_tree_is_shown_with_its_limit():
    slot = {**SLOT, "memory": 120 * 1024 * 1024, "memory_limit": 300 * 1024 * 1024}

    assert "  120 MiB/300 MiB  " in describe({**ANSWER, "slots": [slot]})


def test_what_waits_is_counted_and_a_held_back_pool_is_named():
    lines = describe({**ANSWER, "unrecorded_exits": 3, "open_breakers": ["mail"]}).splitlines()

    assert "  unrecorded  3 failures wait to be recorded" in lines
    assert "  held back   mail: workers cannot boot, one is tried" in lines


def test_the_newest_bad_ends_come_first_and_not_too_many():
    ends = [{**BAD_END, "job": f"job-{number}"} for number in range(7)]

    text = describe({**ANSWER, "recent_failures": ends})

    title, header, *rows = text.rpartition("\n\n")[2].splitlines()
    assert title == "recent failures (5 of 7, `gigqd status --json` has all)"
    assert header.split()[:4] == ["AT", "SLOT", "CAUSE", "ENDED"]
    assert [row.split("job-")[1][0] for row in rows] == ["6", "5", "4", "3", "2"]


def test_a_bad_end_says_what_is_known_of_it():
    row = describe({**ANSWER, "recent_failures": [BAD_END]}).splitlines()[-1]

    assert [part.strip() for part in row.split("  ") if part.strip()] == [
        "2026-11-23 19:09:12+00:00", "default/0", "timeout", "SIGKILL, 3 killed, 12.3ms late",
        "resize (attempt 2)", "24bd4df2", "1m15s", "310ms", "120 MiB", "pending",
    ]  # fmt: skip


def test_a_bad_end_without_a_job_is_one_of_a_boot():
    end = {**dict.fromkeys(BAD_END), "at": BAD_END["at"], "slot": "mail/0", "cause": "boot"}

    row = describe({**ANSWER, "recent_failures": [{**end, "exit_code": 80}]}).splitlines()[-1]

    assert row.split()[2:] == ["mail/0", "boot", "exit", "80", *"------"]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_tables_fit_the_terminal_and_keep_the_job_and_why_it_ended(width):
    slot = {**SLOT, "memory": 120 * 1024 * 1024, "memory_limit": 300 * 1024 * 1024}
    named = {**slot, "job": "resize every picture of the front page", "slot": "pictures/12"}
    end = {**BAD_END, "job": named["job"], "slot": "pictures/12"}
    text = describe(
        {**ANSWER, "slots": [named, IDLE, slot], "recent_failures": [end, BAD_END]}, width
    )
    slots, ends = (part.splitlines() for part in text.split("\n\n")[1:])

    assert max(map(len, text.splitlines())) <= width
    assert "resize every pict" in slots[1]
    assert "timeout:" in slots[1]
    assert slots[0].split()[:1] == ["SLOT"]
    assert "resize every pi" in ends[3]
    assert ends[2].startswith("11-23 19:09:12  default/0  ")
    assert "SIGKILL, " in ends[3]


def test_a_wide_terminal_shows_every_column():
    assert describe(ANSWER, 200) == describe(ANSWER)


@pytest.mark.parametrize("key", ["job", "cause", "slot", "signal", "status"])
def test_a_bad_end_cannot_move_the_cursor(key):
    text = describe({**ANSWER, "recent_failures": [{**BAD_END, key: "\x1b[2J\r\n\x9b"}]})

    assert text.replace("\n", "").isprintable()
