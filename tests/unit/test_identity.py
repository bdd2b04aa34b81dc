"""Which daemon is meant: by its configuration file, or by its database and name."""

import os
from dataclasses import replace
from pathlib import Path

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


def test_a_configuration_keeps_its_links(tmp_path):
    write_config(tmp_path)
    (tmp_path / "current").symlink_to(tmp_path)

    linked = identity_of(load(tmp_path / "current" / "gigq.toml", {}), {})

    assert linked.config == str(tmp_path / "current" / "gigq.toml")


@pytest.mark.parametrize("share", [Path.symlink_to, Path.hardlink_to], ids=["link", "hard link"])
def test_two_links_to_one_file_are_two_daemons_when_each_has_a_database(tmp_path, share):
    shared = write_config(tmp_path)
    files = [tmp_path / name / "gigq.toml" for name in ("shop", "blog")]
    for file in files:
        file.parent.mkdir()
        share(file, shared)

    shop, blog = (identity_of(load(file, {}), {}) for file in files)

    assert not shop.is_that_of(blog)


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
