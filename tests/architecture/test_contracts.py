"""Who may import whom, who may write SQL, and what stands at the front door."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
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
    """Return what the linter prints for a copy of the tree with lines added to some modules."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("gigq", "gigqd"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, lines in added.items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(lines)
    linter = Path(sys.executable).with_name("lint-imports")
    command = [linter, "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout


def layers_contracts():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [one for one in settings["tool"]["importlinter"]["contracts"] if "layers" in one]


def test_every_package_has_layers_with_a_place_for_each_module():
    packages = {
        str(file.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("gigq", "gigqd")
        for file in modules(top)
        if file.name != "__init__.py"
    }

    assert all(contract["exhaustive"] for contract in layers_contracts())
    assert packages - {c for one in layers_contracts() for c in one["containers"]} == {
        "gigq.contrib"
    }


def test_an_import_from_the_lowest_layer_of_the_highest_one_breaks_each_contract(tmp_path):
    added = {}
    for contract in layers_contracts():
        (package,) = contract["containers"]
        highest, lowest = (contract["layers"][at].split(" | ")[0] for at in (0, -1))
        file = f"{package}.{lowest}".replace(".", "/")
        file = f"{file}/__init__.py" if (ROOT / file).is_dir() else f"{file}.py"
        added[file] = added.get(file, "") + f"import {package}.{highest}\n"

    found = " ".join(linted(tmp_path, added).split())

    kept = [one["name"] for one in layers_contracts() if f"{one['name']} BROKEN" not in found]
    assert kept == []


def test_a_module_without_a_place_in_the_layers_breaks_the_contract(tmp_path):
    found = linted(tmp_path, {"gigqd/process/new.py": "", "gigq/model/new.py": ""})

    assert "gigqd.process.new" in found


def test_the_contracts_notice_a_forbidden_import(tmp_path):
    found = linted(tmp_path, {"gigq/model/clock.py": "import psutil\n"})

    assert "The library stands alone BROKEN" in found


def test_code_that_runs_the_functions_of_jobs_cannot_import_a_database(tmp_path):
    wrong = {
        "attempt": "from gigq.store.verbs import exchange",
        "hooks": "from gigq.store.sqlite.connections import open_connection",
        "job_context": "from gigq.store.verbs import exchange",
        "timer_interrupt": "from gigq.store.verbs import exchange",
        "forked_exit": "import sqlite3",
        "callbacks": "from gigq.execution.runner import Runner",
    }
    found = linted(
        tmp_path, {f"gigq/execution/{name}.py": f"{line}\n" for name, line in wrong.items()}
    )

    assert "Code that runs the functions of jobs knows no database BROKEN" in found
    named = {
        name for name in wrong if f"gigq.execution.{name} is not allowed to import gigq" in found
    }
    assert named | {"forked_exit"} == set(wrong)
    assert "gigq.execution.forked_exit is not allowed to import sqlite3" in found


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

    assert asking <= {"gigq/model/clock.py"}


def test_the_front_door_has_no_code_and_few_names():
    door = importlib.import_module("gigq")
    body = parsed(ROOT / "gigq/__init__.py").body
    functions_or_classes = [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]

    assert functions_or_classes == []
    assert len(door.__all__) <= 21
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
    half = [f for f in modules("gigqd") if not {"worker", "recorder"} & set(f.parts)]
    found = {
        str(file.relative_to(ROOT)): sorted(forbidden & set(names_imported_by(file)))
        for file in half
        if forbidden & set(names_imported_by(file))
    }

    assert found == {}
