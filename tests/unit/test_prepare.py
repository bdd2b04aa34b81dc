"""Why a worker cannot boot is told in one line, with the place in the application's code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from gigqd.roles.prepare import failure

if TYPE_CHECKING:
    from pathlib import Path


def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> str:
    module = tmp_path / "bad_shop.py"
    module.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever it is
        importlib.import_module("bad_shop")
    return failure(raised.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\nx.y\n", "AttributeError: 'int' object has no attribute 'y' (/bad_shop.py:2)"),
        ("import sys\nsys.exit(3)", "SystemExit: an import has left with 3 (/bad_shop.py:2)"),
        ("import no_such", "ModuleNotFoundError: No module named 'no_such' (/bad_shop.py:1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (/bad_shop.py:1)"),
    ],
)  # fmt: skip
def test_what_an_import_raises_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str
) -> None:
    assert imported(tmp_path, monkeypatch, source) == told


def test_what_was_raised_nowhere_in_a_file_is_told_without_a_place() -> None:
    assert failure(OSError("no room")) == "OSError: no room"
