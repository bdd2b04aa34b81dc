"""Which daemon is meant: by its configuration file, or by its database and name."""

import os
from dataclasses import replace

import pytest
from support.configs import write_config

from gigqd.config import load
from gigqd.identity import Identity, LockNote, identity_of, read_note_at, write_note

SHOP = Identity("/srv/shop/gigq.toml", "/srv/shop/jobs.db", "default", ("", ""))


@pytest.mark.parametrize(
    ("changes", "is_meant"),
    [
        ({}, True),
        ({"database": "/srv/shop/new.db"}, True),
        ({"name": "mail"}, True),
        ({"config": "/srv/shop/renamed.toml"}, True),
        ({"config": None}, True),
        ({"config": "/srv/blog/gigq.toml", "database": "/srv/blog/jobs.db"}, False),
        ({"config": None, "name": "mail"}, False),
        ({"name": "mail", "overrides": ("mail", "")}, False),
        ({"database": "/srv/b.db", "overrides": ("", "/srv/b.db")}, False),
    ],
)
def test_a_daemon_is_meant_by_its_file_or_by_its_database_and_name(changes, is_meant):
    assert SHOP.is_that_of(replace(SHOP, **changes)) is is_meant


def test_a_file_behind_a_link_is_the_same_file(tmp_path):
    path = write_config(tmp_path)
    (tmp_path / "current").symlink_to(tmp_path)
    linked, plain = (
        identity_of(load(file, {}), {}) for file in (tmp_path / "current" / "gigq.toml", path)
    )

    assert linked.config == str(tmp_path / "current" / "gigq.toml")
    assert linked.has_file_of(plain)


@pytest.mark.parametrize("config", ["/srv/shop/gigq.toml", None, os.fsdecode(b"/srv/caf\xe9/q")])
def test_a_lock_file_says_which_daemon_holds_it(tmp_path, config):
    note = LockNote("/run/gigqd.lock", replace(SHOP, config=config)).of_this_process()
    descriptor = os.open(tmp_path / "gigqd.lock", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"x" * 5000)

    write_note(descriptor, note)
    os.close(descriptor)

    assert read_note_at(tmp_path / "gigqd.lock") == note
    assert note.names_a_live_process()
    assert not replace(note, start_ticks=1).names_a_live_process()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"17",
        b"\xff",
        b"[" * 100000,
        b'{"lock": 1, "identity": null, "pid": 1, "start_ticks": 1}',
        b'{"lock": "x", "identity": {"config": 1}, "pid": 1, "start_ticks": 1}',
        b'{"lock": "x", "identity": null, "pid": -1, "start_ticks": 1}',
    ],
)
def test_a_lock_file_that_says_something_else_says_nothing(tmp_path, text):
    (tmp_path / "gigqd.lock").write_bytes(text)

    assert read_note_at(tmp_path / "gigqd.lock") is None


def test_a_link_a_folder_or_a_pipe_in_the_place_of_the_lock_says_nothing(tmp_path):
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert [read_note_at(tmp_path / name) for name in ("link", "folder", "pipe", "none")] == [
        None
    ] * 4
