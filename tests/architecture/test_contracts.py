"""Who may import whom, who may write SQL, and what stands at the front door."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

from support.tree import ROOT, modules, parsed

SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM"
    r"|(CREATE|DROP|ALTER)\s+(TABLE|INDEX|VIEW|TRIGGER))\b",
    re.DOTALL,
)


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def texts_of(file):
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def names_imported_by(file):
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_every_import_contract_is_kept():
    linter = Path(sys.executable).with_name("lint-imports")
    done = run(linter, "--no-logo", "--no-cache")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_notice_a_forbidden_import(tmp_path):
    for name in ("gigq", "gigqd", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "gigq").unlink()
    (tmp_path / "gigq").mkdir()
    for entry in (ROOT / "gigq").iterdir():
        (tmp_path / "gigq" / entry.name).symlink_to(entry)
    (tmp_path / "gigq/clock.py").unlink()
    (tmp_path / "gigq/clock.py").write_text("import psutil\nfrom gigq.store import jobs\n")
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "The library stands alone BROKEN" in done.stdout


def test_sql_is_written_only_in_the_statement_files():
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in modules()
        for line, text in texts_of(file)
        if SQL.search(text)
    ]

    assert found == []


def test_only_the_clock_asks_the_time_of_day_in_the_library():
    asking = {
        str(file.relative_to(ROOT))
        for file in modules("gigq")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("datetime", "now"), ("time", "time")}
    }

    assert asking <= {"gigq/clock.py"}


def test_the_front_door_has_no_code_and_few_names():
    door = importlib.import_module("gigq")
    body = parsed(ROOT / "gigq/__init__.py").body
    functions_or_classes = [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]

    assert functions_or_classes == []
    assert len(door.__all__) <= 16
    assert all(hasattr(door, name) for name in door.__all__)


def test_the_daemon_package_exports_nothing():
    door = importlib.import_module("gigqd")

    assert getattr(door, "__all__", []) == []


def test_importing_the_library_loads_nothing_from_elsewhere():
    script = (
        "import sys; before = set(sys.modules); import gigq; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'gigq'}))"
    )
    done = run(sys.executable, "-c", script)

    assert done.stdout.strip() == "[]", done.stderr


def test_the_supervisor_starts_no_thread_and_serves_no_network():
    forbidden = {"threading", "concurrent.futures", "http.server", "asyncio", "sqlite3"}
    half = [
        f for f in modules("gigqd") if "roles" not in f.parts and f.name not in {"cli.py", "web.py"}
    ]
    found = {
        str(file.relative_to(ROOT)): sorted(forbidden & set(names_imported_by(file)))
        for file in half
        if forbidden & set(names_imported_by(file))
    }

    assert found == {}
