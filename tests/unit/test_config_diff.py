"""What differs between two configurations, by what a reload does with it."""

from __future__ import annotations

import pytest
from support.config_files import complete, write

from gigqd.config import Changes, compare, load, schema
from gigqd.config.schema import Effect

TABLES = {**schema.TABLES, "pools.a": schema.PoolConfig}
EVERY_KEY = [(table, key) for table, cls in TABLES.items() for key in cls.KEYS]


def config(tmp_path, text="[pools.a]"):
    return load(write(tmp_path, complete(text)), {"XDG_RUNTIME_DIR": "/x"})


def test_the_same_file_has_no_changes(tmp_path):
    assert not compare(config(tmp_path), config(tmp_path))


@pytest.mark.parametrize(("table", "key"), EVERY_KEY)
def test_a_change_of_any_key_is_found_under_its_effect(tmp_path, table, key):
    old = config(tmp_path)
    new = changed(old, table, key)
    effect = TABLES[table].KEYS[key].effect

    assert compare(old, new) == Changes(**{effect: (f"{table}.{key}",)})


def changed(old, table, key):
    other = object()
    if table == "pools.a":
        return old.replace(pools=(old.pools[0].replace(**{key: other}),))
    return old.replace(**{table: getattr(old, table).replace(**{key: other})})


def test_pools_that_come_and_go_are_live(tmp_path):
    old = config(tmp_path, "[pools.a]\n[pools.b]\nsize = 2")
    new = config(tmp_path, "[pools.b]\nsize = 3\nnice = 5\n[pools.c]")

    assert compare(old, new) == Changes(
        live=("pools.a", "pools.b.size", "pools.c"), recycle=("pools.b.nice",)
    )


def test_the_order_of_pools_is_no_change(tmp_path):
    old = config(tmp_path, "[pools.a]\n[pools.b]")

    assert not compare(old, config(tmp_path, "[pools.b]\n[pools.a]"))


def test_what_the_environment_file_says_counts(tmp_path):
    text = "code.environment_file = 'env'"
    (tmp_path / "env").write_text("A=1\n")
    old = config(tmp_path, text)
    (tmp_path / "env").write_text("A=2\n")

    assert compare(old, config(tmp_path, text)).recycle == ("code.environment",)


def test_the_groups_of_keys_have_the_effects_that_operators_were_promised():
    found = {f"{t}.{k}": TABLES[t].KEYS[k].effect for t, k in EVERY_KEY}
    restart = {name for name, effect in found.items() if effect is Effect.RESTART}

    assert restart == {
        "daemon.name", "daemon.runtime_dir", "daemon.user", "daemon.group", "queue.database",
        "queue.schema", "queue.pooler", "queue.direct_address", "queue.lease", "log.file",
    }  # fmt: skip
    assert {found[f"code.{key}"] for key in schema.CodeConfig.KEYS} == {Effect.RECYCLE}
    assert found["pools.a.size"] is Effect.LIVE
    assert found["pools.a.queues"] is Effect.RECYCLE
