"""A folder with an application in it, and the real command run from there.

The tests of a module that is marked with `each_database` run on a file and on PostgreSQL. A test
about one kind is marked with `only`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import stores
from support.daemon import daemons
from support.doctor import address, admin, empty, role
from support.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["address", "admin", "daemons", "empty", "role"]

SHOP = """
from gigq import task


def resize(file, width=100):
    return f"{file}: {width} pixels wide"


def charge(order):
    raise ValueError(f"order {order} has no card")


def summary(count):
    return {"count": count, "items": [1, {"a": None}], "text": "plain"}


def limits():
    return {"n": float("nan"), "i": [float("inf"), -float("inf")], "x": 1.5}


def anything(**given):
    return given


def total(parent_results):
    return sorted(parent_results.values())


@task(timeout=7, queue="mail", max_attempts=9)
def greet(name):
    return f"hello {name}"


class Depot:
    @staticmethod
    def pack():
        return "packed"


not_a_function = 3
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a command on the kinds of database that they are about."""
    test = metafunc.definition
    only = test.get_closest_marker("only")
    if "kind" in metafunc.fixturenames and (only or test.get_closest_marker("each_database")):
        metafunc.parametrize("kind", only.args if only else stores.KINDS)


@pytest.fixture
def kind() -> str:
    """The kind of database that the commands work on."""
    return "sqlite"


@pytest.fixture
def shell(tmp_path: Path, kind: str) -> Iterator[Shell]:
    """A shell in a folder with the module `shop`."""
    (tmp_path / "shop.py").write_text(SHOP)
    if kind == "sqlite":
        yield Shell(tmp_path)
        return
    with stores.address_of(kind, tmp_path) as address:
        yield Shell(tmp_path, address)
