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


def linted(folder, added):
    """Return what the linter prints for the tree with lines added to some modules."""
    (folder / "gigq").mkdir()
    for name in ("gigqd", "pyproject.toml", *(f"gigq/{e.name}" for e in (ROOT / "gigq").iterdir())):
        (folder / name).symlink_to(ROOT / name)
    for name, lines in added.items():
        file = folder / name
        source = file.read_text(encoding="utf-8")
        file.unlink()
        file.write_text(source + lines, encoding="utf-8")
    linter = Path(sys.executable).with_name("lint-imports")
    command = [linter, "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout


def test_the_contracts_notice_a_forbidden_import(tmp_path):
    found = linted(tmp_path, {"gigq/clock.py": "import psutil\nfrom gigq.store import jobs\n"})

    assert "The library stands alone BROKEN" in found


def test_code_that_runs_the_functions_of_jobs_cannot_import_a_database(tmp_path):
    wrong = {
        "execution": "from gigq.store import claims",
        "hooks": "from gigq.store.connect import open_connection",
        "current": "from gigq.store import claims",
        "interrupt": "from gigq.store import claims",
        "forked_exit": "import sqlite3",
        "callbacks": "from gigq.worker_thread import Runner",
    }
    found = linted(tmp_path, {f"gigq/{name}.py": f"{line}\n" for name, line in wrong.items()})

    assert "Code that runs the functions of jobs knows no database BROKEN" in found
    named = {name for name in wrong if f"gigq.{name} is not allowed to import gigq" in found}
    assert named | {"forked_exit"} == set(wrong)
    assert "gigq.forked_exit is not allowed to import sqlite3" in found


def test_the_parts_of_a_worker_cannot_import_the_worker(tmp_path):
    parts = ("worker_thread", "worker_loop", "surroundings", "hand", "pace")
    line = "from gigq.worker import Worker\n"
    found = linted(tmp_path, {f"gigq/{name}.py": line for name in parts})

    assert [
        name for name in parts if f"gigq.{name} is not allowed to import gigq.worker" in found
    ] == [*parts]


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
