"""The answer to `gigqd status` as a person sees it."""

import pytest

from gigqd.cli.describing import describe, duration

SLOT = {
    "slot": "default/0",
    "pool": "default",
    "role": "worker",
    "pid": 12,
    "state": "busy",
    "job_id": "0190",
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
    "counters": {"settled": 41, "timeouts": 1},
}


def test_state_reason_and_place_come_first():
    assert describe(ANSWER).splitlines()[:7] == [
        "gigqd is degraded: mail/10 cannot boot: no module",
        "  pid         7, up 2h03m since 2026-11-23T19:09:12+00:00",
        "  version     1.2.3, generation 3",
        "  config      /etc/gigq.toml",
        "  database    /var/lib/gigqd/jobs.db",
        "  pools       default 1, mail 1",
        "  since start 41 settled, 1 timeouts",
    ]


def test_every_slot_is_a_line_with_its_job_and_limit():
    header, busy, backoff = describe(ANSWER).splitlines()[8:]

    assert header.split()[:5] == ["SLOT", "PID", "STATE", "JOB", "TIME/LIMIT"]
    assert busy.split()[:6] == ["default/0", "12", "busy", "resize", "(attempt", "2)"]
    assert busy.endswith("  timeout: signal SIGKILL")
    assert "3.2s/5m00s  30 MiB" in busy
    assert backoff.split() == ["mail/10", "-", "backoff", "-", "-", "-", "41", "1", "-"]


def test_the_columns_are_aligned():
    header, busy, backoff = describe(ANSWER).splitlines()[8:]

    assert header.index("STATE") == busy.index("busy") == backoff.index("backoff")


def test_a_job_name_cannot_move_the_cursor():
    slot = {**SLOT, "job": "\x1b[2Jevil\n"}

    assert "\\x1b[2Jevil\\n" in describe({**ANSWER, "slots": [slot]})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (59.94, "59.9s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (360000, "4d04h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text
