"""The example file is what the schema says."""

from __future__ import annotations

import tomllib

import pytest
from support.tree import ROOT

from gigq.cli import configuration
from gigqd.config import load, schema

pytestmark = pytest.mark.docs

EXAMPLE = ROOT / "etc/gigq.toml"


def minimal(tmp_path):
    path = tmp_path / "gigq.toml"
    path.write_text('[queue]\ndatabase = "/var/lib/gigq/gigq.db"\n')
    return load(path, {})


def test_the_example_shows_every_key():
    document = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    shown = {table: set(content) for table, content in document.items() if table != "pools"}

    assert shown == {name: set(table.KEYS) for name, table in schema.TABLES.items()}
    assert set(document["pools"]["default"]) == set(schema.PoolConfig.KEYS)


def test_the_values_of_the_example_are_the_defaults_but_for_a_proposed_delay(tmp_path):
    copy = tmp_path / "example.toml"
    copy.write_bytes(EXAMPLE.read_bytes())
    example = load(copy, {})

    assert (example.retry.first, minimal(tmp_path).retry.first) == (5.0, 0.0)
    same = example.replace(source=None, retry=example.retry.replace(first=0.0))
    assert same == minimal(tmp_path).replace(source=None)


def test_the_example_says_what_a_reload_does_with_each_key():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    tables = [*schema.TABLES.values(), schema.PoolConfig]
    keys = [item for table in tables for item in table.KEYS.items()]

    for name, declared in keys:
        key = rf"{name} = " if name != "environment" else "[code.environment]"
        line = next(number for number, text in enumerate(lines) if text.startswith(key))
        comment = next(text for text in reversed(lines[:line]) if text.startswith("#"))

        assert comment.split()[-1] == declared.effect, name


def test_every_key_has_a_reason_that_reads_as_a_sentence():
    tables = [*schema.TABLES.values(), schema.PoolConfig]
    meanings = [key.meaning for table in tables for key in table.KEYS.values()]

    assert [text for text in meanings if not (text[0].isupper() and text.endswith("."))] == []


def test_gigq_knows_the_tables_and_the_keys_of_the_queue_that_gigqd_knows():
    assert list(configuration.TABLES) == [*schema.TABLES, "pools"]
    assert list(configuration.KEYS_OF_QUEUE) == list(schema.QueueConfig.KEYS)
