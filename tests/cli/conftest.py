"""A folder with an application in it, and the real command run from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.daemon import daemons
from support.doctor import address, admin, empty, role
from support.shell import Shell

if TYPE_CHECKING:
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


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in a folder with the module `shop`."""
    (tmp_path / "shop.py").write_text(SHOP)
    return Shell(tmp_path)
