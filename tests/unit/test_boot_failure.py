"""Why a worker cannot boot is reported in one line, with the place in the application's code."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigqd.worker.boot import failure

ROOT = Path(__file__).resolve().parents[2]


def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> str:
    module = tmp_path / "bad_shop.py"
    module.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - any exception
        importlib.import_module("bad_shop")
    return failure(raised.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\nx.y\n", "AttributeError: 'int' object has no attribute 'y' (/bad_shop.py:2)"),
        ("import sys\nsys.exit(3)", "SystemExit: an import has exited with 3 (/bad_shop.py:2)"),
        ("import no_such", "ModuleNotFoundError: No module named 'no_such' (/bad_shop.py:1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (/bad_shop.py:1)"),
        ("import json\njson.loads('{')", ("JSONDecodeError: Expecting property name enclosed in "
         "double quotes: line 1 column 2 (char 1) (/bad_shop.py:2)")),
        ("x = 1\ny = = 2", "SyntaxError: invalid syntax (/bad_shop.py:2)"),
        ("x = 1\ncompile('y = = 2', '<rule>', 'exec')",
         "SyntaxError: invalid syntax (/bad_shop.py:2)"),
        ("raise OSError('no postgresql://shop:secret@db/')",
         "OSError: no postgresql://shop:***@db/ (/bad_shop.py:1)"),
    ],
)  # fmt: skip
def test_what_an_import_raises_is_reported_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    assert imported(tmp_path, monkeypatch, source) == message


def test_the_module_that_was_being_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad_inner.py").write_text("import json\njson.loads('{')")
    (tmp_path / "bad_outer.py").write_text("import bad_inner")
    program = (
        "from types import SimpleNamespace as N; from pathlib import Path\n"
        "from gigqd.worker.boot import failure, prepare, trace\n"
        "code = N(environment={}, python_path=[Path.cwd()], imports=('bad_outer',), hooks=None)\n"
        "config = N(daemon=N(working_directory='.', umask=0o22), code=code)\n"
        "try: prepare(config, N(nice=0))\n"
        "except Exception as error: print(failure(error)); print(trace(error))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    why, _, traceback = ran.stdout.partition("\n")
    assert why.endswith(f"(while importing bad_outer, {tmp_path}/bad_inner.py:2)")
    assert "bad_outer.py" in traceback
    assert "json.loads" in traceback


def test_the_place_of_an_error_is_found_in_an_installed_application(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "shop_hooks.py").write_text("x = 1\nx.price\n")
    program = (
        "from types import SimpleNamespace as N; from pathlib import Path\n"
        "from gigqd.worker.boot import failure, prepare\n"
        "path = [Path('site-packages')]\n"
        "code = N(environment={}, python_path=path, imports=(), hooks='shop_hooks')\n"
        "config = N(daemon=N(working_directory='.', umask=0o22), code=code)\n"
        "try: prepare(config, N(nice=0))\n"
        "except Exception as error: print(failure(error))\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ran.stdout.endswith("site-packages/shop_hooks.py:2)\n")


def test_what_was_raised_nowhere_in_a_file_is_reported_without_a_place() -> None:
    assert failure(OSError("no room")) == "OSError: no room"
