"""The pages about the code name what is there: every module has its place, every word its use."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys

import pytest
from support.tree import PACKAGES, ROOT, modules

from gigqd.config import load

pytestmark = pytest.mark.docs

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
HOW_IT_WORKS = (ROOT / "docs/how-it-works.md").read_text()
CODE = re.compile(r"`([^`\n]+)`")


def dotted(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def test_the_list_of_modules_is_up_to_date():
    checked = subprocess.run([sys.executable, ROOT / "tools/update-module-list", "--check"])

    assert checked.returncode == 0, "run tools/update-module-list"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_place_in_the_architecture(package):
    placed = set(CODE.findall(ARCHITECTURE))
    to_place = {dotted(file) for file in modules(package) if not file.name.startswith("__")}

    assert sorted(to_place - placed) == []


def test_the_walk_of_a_job_names_files_that_exist_and_enough_of_them():
    named = {text for text in CODE.findall(HOW_IT_WORKS) if text.endswith((".py", ".sql"))}

    assert sorted(name for name in named if not (ROOT / name).is_file()) == []
    assert len(named) > 30


def test_the_steps_of_the_walk_are_counted_without_a_gap():
    steps = [int(number) for number in re.findall(r"^(\d+)\. ", HOW_IT_WORKS, re.MULTILINE)]

    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda p: p.stem[:4]
)
def test_a_decision_has_its_parts_in_at_most_fifteen_lines(page):
    lines = page.read_text().splitlines()
    parts = [line.partition(" ")[0] for line in lines if line.startswith(("# ", "**"))]

    assert parts == ["#", "**Context.**", "**Choice.**", "**Consequence.**"]
    assert lines[0].startswith(f"# {int(page.stem[:4])}. ")
    assert len(lines) <= 15


def test_each_decision_has_a_number_of_its_own():
    numbers = [page.name[:4] for page in (ROOT / "docs/decisions").glob("*.md")]

    assert sorted(set(numbers)) == sorted(numbers)


def test_every_function_that_the_walk_names_is_in_its_file():
    steps = re.findall(r"`(gigqd?/[\w/]+\.py)` — `(\w+)`", HOW_IT_WORKS)
    missing = [f for f, name in steps if f"def {name}(" not in (ROOT / f).read_text()]

    assert steps
    assert missing == []


def test_the_configuration_on_the_page_for_operators_is_valid(tmp_path):
    page = (ROOT / "docs/operations.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    # The account has to exist on the host.
    (tmp_path / "gigq.toml").write_text(text.replace('user = "shop"', f'user = "{me()}"'))

    config = load(tmp_path / "gigq.toml", {})

    assert (config.daemon.user, config.security.allow) == (me(), ("shop.*",))


def me():
    return pwd.getpwuid(os.getuid()).pw_name
