"""Which daemon is meant: by its configuration file, or by its database and name."""

import os
from pathlib import Path

import pytest
from support.configs import write_config

from gigqd.config import load
from gigqd.host.identity import Identity, Record, identity_of, read_record, write_record

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
    assert SHOP.is_that_of(SHOP._replace(**changes)) is is_meant


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
    record = Record("/run/gigqd.lock", SHOP._replace(config=config))
    descriptor = os.open(tmp_path / "gigqd.lock", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"x" * 5000)

    write_record(descriptor, record)
    found = read_record(descriptor)
    os.close(descriptor)

    assert found == record


WHOLE = b'{"lock": "x", "config": null, "database": "d", "name": "n", "overrides": ["", ""]}'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"17",
        b"\xff",
        b"[" * 100000,
        WHOLE.replace(b'"x"', b"1"),
        WHOLE.replace(b"null", b"1"),
        WHOLE.replace(b'"d"', b"null"),
        WHOLE.replace(b'["", ""]', b'[""]'),
        WHOLE.replace(b'["", ""]', b"[1, 2]"),
    ],
)
def test_a_lock_file_that_says_something_else_says_nothing(tmp_path, text):
    (tmp_path / "gigqd.lock").write_bytes(text)
    descriptor = os.open(tmp_path / "gigqd.lock", os.O_RDONLY)

    found = read_record(descriptor)
    os.close(descriptor)

    assert found is None


def test_a_folder_or_a_pipe_in_the_place_of_the_lock_says_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    descriptors = [
        os.open(path, os.O_RDONLY | os.O_NONBLOCK) for path in (tmp_path, tmp_path / "pipe")
    ]

    found = [read_record(descriptor) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)

    assert found == [None, None]
