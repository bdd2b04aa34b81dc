from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.tree import modules

import gigq.store
from gigq.store.statements import SQL, read, statements

PACKAGE = Path(gigq.store.__file__).parent


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_no_name_stands_in_both_files(dialect: str) -> None:
    assert not set(read("shared")) & set(read(dialect))


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_comments_and_the_last_semicolon_are_not_sent(dialect: str) -> None:
    for text in statements(dialect).values():
        assert "--" not in text
        assert not text.endswith(";")


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("read_only", ["backup.py", "doctor/*.py"]),
        ("server", ["doctor/*.py", "postgres/read_only.py", "postgres/pooler.py"]),
    ],
)
def test_every_read_only_query_is_used(file: str, users: list[str]) -> None:
    paths = [path for pattern in users for path in PACKAGE.glob(pattern)]
    source = "".join(path.read_text() for path in paths)

    assert sorted(name for name in read(file) if f'"{name}"' not in source) == []


def test_every_statement_is_used_and_every_use_is_there() -> None:
    source = "\n".join(path.read_text() for path in modules("gigq/store", "gigqd"))
    used = set(re.findall(r"\.(?:one|all|run|many)\(\s*\"(\w+)\"", source))
    for name in re.findall(r"\.one\(f\"(\w+)\{form\}\"", source):
        used |= {name, f"{name}_of_known"}
    for names in re.findall(r"for statement in \(([^)]*)\)", source):
        used |= set(re.findall(r"\"(\w+)\"", names))
    # Those that run beside sessions, and the scripts and locks whose names have a prefix.
    used |= set(re.findall(r"(?:\bsql|_sql|statements\(POSTGRES\))\[\"(\w+)\"\]", source))
    used |= {f"lock_{name}" for name in re.findall(r"\.lock\(\"(\w+)\"", source)}
    used |= {f"set_up_{name}" for name in re.findall(r"_set_up\(\"(\w+)\"", source)}

    at_once = {f"{name}_at_once" for name in re.findall(r"\.many\(\s*\"(\w+)\"", source)}
    used |= at_once & set(read("postgres_batches"))
    assert used - set(read("read_only")) == {*statements("sqlite"), *statements("postgres")}


def test_every_template_is_used() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))

    assert sorted(name for name in read("upgrade_templates") if f'"{name}"' not in source) == []


def test_every_part_is_used_and_replaced() -> None:
    source = "\n".join(path.read_text() for path in SQL.glob("*.sql"))
    texts = [text for dialect in ("sqlite", "postgres") for text in statements(dialect).values()]

    for name in read("parts"):
        assert f"{{{name}}}" in source
        assert not any(f"{{{name}}}" in text for text in texts)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_builds_sql_from_values(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"f\"+\s*(SELECT|INSERT|UPDATE|DELETE)\b", text)
    assert not re.search(r"\"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b", text)
