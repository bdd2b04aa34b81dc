from __future__ import annotations

from dataclasses import replace

import pytest

from gigq.store.doctor.file_checks import has_wal_reset_defect
from gigq.store.doctor.finding import Finding, worst
from gigq.store.doctor.inspection import Content, File, Inspection
from gigq.store.doctor.queue_checks import judge
from gigq.store.doctor.queue_facts import Waiting
from gigq.store.sqlite.file.record_lock import parsed

GOOD = Inspection(
    path="/srv/jobs.db",
    now="2026-01-01T12:00:00.000000+00:00",
    python="3.14.0",
    sqlite=(3, 51, 3),
    file_system="ext4",
    files=(
        File("/srv", 0o755, 0, 0, 3),
        File("/srv/jobs.db", 0o600, 1000, 1000, 1),
        File("/srv/jobs.db-wal", 0o600, 1000, 1000, 1),
    ),
    writable=True,
    size=2**20,
    wal=0,
    room=2**40,
    known_schema=3,
    servers={"daemons": (7,), "workers": ()},
    gone=0,
    content=Content("wal", frozenset({"jobs"}), 3, 4096, 256, 0, {"total": 0}, ()),
)
ROOTS_LOG = File("/srv/jobs.db-wal", 0o600, 0, 0, 1)
EMPTIED = Content("wal", frozenset({"jobs"}), 3, 4096, 40_000, 30_000, {}, ())
LATE = Waiting("mail", "2026-01-01T11:00:00.000000+00:00")


def severity_of(check: str, inspected: Inspection) -> str:
    return worst([one for one in judge(inspected) if one.check == check])


@pytest.mark.parametrize(("gives_back", "remedy"), [(True, "gigq prune"), (False, "VACUUM")])
def test_free_pages_are_given_back_or_it_is_said_how(gives_back: bool, remedy: str) -> None:
    inspected = replace(GOOD, content=replace(EMPTIED, gives_back=gives_back))
    (size,) = [one for one in judge(inspected) if one.check == "size"]

    assert remedy in size.remedy
    assert ("VACUUM" in size.remedy) is not gives_back


def test_the_remedy_for_an_open_file_names_only_files_that_are_there() -> None:
    folder, file, log = GOOD.files
    inspected = replace(GOOD, files=(folder, replace(file, mode=0o666), replace(log, mode=0o666)))
    remedies = [one.remedy for one in judge(inspected) if one.check == "permissions"]

    assert "chmod o= /srv/jobs.db /srv/jobs.db-wal" in remedies


@pytest.mark.parametrize(
    ("servers", "remedy"),
    [
        ({"daemons": (7,), "workers": ()}, "the process that ends last writes the log"),
        (None, "the process that ends last writes the log"),
        ({"daemons": (), "workers": ()}, "restore a backup"),
    ],
)
def test_a_log_that_was_deleted_in_use_is_a_problem_and_it_is_said_how_to_keep_it(
    servers: dict[str, tuple[int, ...]] | None, remedy: str
) -> None:
    index = File("/srv/jobs.db-shm", 0o600, 1000, 1000, 1)
    empty = replace(GOOD.content, tables=frozenset()) if GOOD.content else None
    inspected = replace(GOOD, files=(*GOOD.files[:2], index), servers=servers, content=empty)
    found = {one.check: one for one in judge(inspected)}

    assert found["wal"].severity == "problem"
    assert remedy in str(found["wal"].remedy)
    assert "database" not in found


def test_all_is_well() -> None:
    assert {one.severity for one in judge(GOOD)} == {"ok"}


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_which_versions_have_the_wal_reset_defect(version: tuple[int, ...], has_it: bool) -> None:
    assert has_wal_reset_defect(version) == has_it


@pytest.mark.parametrize(
    ("check", "change", "severity"),
    [
        ("sqlite", {"sqlite": (3, 40, 1)}, "note"),
        ("sqlite", {"sqlite": (3, 36, 0)}, "problem"),
        ("filesystem", {"file_system": "nfs4"}, "problem"),
        ("filesystem", {"file_system": "fuse.sshfs"}, "problem"),
        ("filesystem", {"file_system": "tmpfs"}, "note"),
        ("filesystem", {"file_system": ""}, "ok"),
        ("permissions", {"writable": False}, "warning"),
        ("permissions", {"files": (*GOOD.files[:2], ROOTS_LOG)}, "warning"),
        ("database", {"content": None, "error": "it is damaged"}, "problem"),
        ("journal", {"content": replace(EMPTIED, journal_mode="delete")}, "warning"),
        ("journal", {"content": replace(EMPTIED, journal_mode=None)}, "ok"),
        ("size", {"content": EMPTIED}, "note"),
        ("wal", {"wal": 2**25}, "warning"),
        ("disk", {"room": 2**20}, "problem"),
        ("disk", {"room": 2**27}, "warning"),
        ("disk", {"room": 2**30, "size": 2**31}, "note"),
        ("workers", {"servers": None}, "note"),
        ("workers", {"servers": {"daemons": (), "workers": ()}}, "note"),
        ("oldest", {"content": replace(EMPTIED, waiting=(LATE,))}, "warning"),
        ("oldest", {"content": replace(EMPTIED, overdue_since=LATE.since)}, "warning"),
        ("lost", {"gone": 2}, "note"),
        ("integrity", {"content": replace(EMPTIED, integrity=("ok",))}, "ok"),
        ("integrity", {"content": replace(EMPTIED, integrity=("row 1 missing",))}, "problem"),
    ],
)
def test_what_is_not_well_has_its_severity(check: str, change: dict, severity: str) -> None:
    assert severity_of(check, replace(GOOD, **change)) == severity


def test_everything_worse_than_ok_says_what_to_do() -> None:
    bad = replace(GOOD, sqlite=(3, 40, 1), file_system="nfs", writable=False, wal=2**30, room=0)

    assert [one for one in judge(bad) if one.severity != "ok" and not one.remedy] == []


def test_the_worst_of_nothing_is_ok() -> None:
    assert worst([]) == "ok"
    assert worst([Finding("a", "note", ""), Finding("b", "problem", "")]) == "problem"


def test_readers_are_found_by_the_bytes_they_lock() -> None:
    lines = [
        "1: POSIX  ADVISORY  READ  4711 08:01:131 124 124",
        "2: POSIX  ADVISORY  READ  4712 08:01:131 128 128",
        "3: POSIX  ADVISORY  WRITE 4713 08:01:131 120 120",
        "4: POSIX  ADVISORY  READ  4714 08:01:132 124 124",
        "4: -> POSIX  ADVISORY  READ  4715 08:01:131 124 124",
        "5: FLOCK  ADVISORY  WRITE 4716 08:01:131 0 EOF",
    ]

    assert [one.pid for one in parsed(lines, 131) if one.first in range(123, 128)] == [4711]
