"""The table of guards fits the source: `make mutants` can take each one out."""

from __future__ import annotations

import ast
import builtins

import pytest
from guards import Guard, read_guards
from support.tree import ROOT

GUARDS = read_guards()
TESTS = {test for guard in GUARDS for test in guard.tests}
SOURCE = """
class Slot:
    def may_start(self):
        if self.paused and now < self.until:
            return False
        if self.left and now < self.born:
            return False

    def end(self):
        if self.paused and now < self.until:
            return None
"""


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.file}-{guard.name}")
def test_a_guard_stands_once_in_its_function(guard):
    source = (ROOT / guard.file).read_text(encoding="utf-8")

    broken = guard.taken_out(source)

    assert broken != source
    if guard.file.endswith(".py"):
        before, after = ast.parse(source), ast.parse(broken)
        assert ast.dump(before) != ast.dump(after)
        # A test must notice the missing guard, and not a name that no longer exists.
        assert not names(after) - names(before) - set(dir(builtins))


@pytest.mark.parametrize("test", sorted(TESTS))
def test_the_tests_that_must_notice_are_there(test):
    file, _, name = test.partition("::")

    assert (ROOT / file).is_file()
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") or not name


def test_a_guard_is_found_under_other_names_and_in_other_lines():
    renamed = SOURCE.replace("paused", "waits").replace(
        "now < self.until", "now < (\n self.end_at)"
    )
    guard = a_guard("if self.paused and now < (self.until)", "if now < (self.until)")

    broken = guard.taken_out(renamed)

    assert broken == renamed.replace("self.waits and ", "", 1).replace(
        "(\n self.end_at)", "(self.end_at)", 1
    )


def test_a_guard_that_is_gone_is_not_looked_for_in_another_place():
    gone = SOURCE.replace("if self.paused and now", "if now")

    with pytest.raises(LookupError, match="0 places in Slot"):
        a_guard("if self.paused and now < self.until:", "if now < self.until:").taken_out(gone)


def test_a_guard_that_fits_two_places_is_refused():
    with pytest.raises(LookupError, match="2 places"):
        a_guard("return False", "return True").taken_out(SOURCE)


def test_a_function_that_is_gone_is_named():
    with pytest.raises(LookupError, match="0 definitions of Slot"):
        a_guard("return False", "return True").taken_out(SOURCE.replace("may_start", "may_run"))


def a_guard(text: str, without: str) -> Guard:
    return Guard("a guard", "slots.py", "Slot.may_start", text, without, ())


def names(tree: ast.AST) -> set[str]:
    """Return the names that a module uses, and the attributes of `self`."""
    nodes = list(ast.walk(tree))
    own = (one for one in nodes if isinstance(one, ast.Attribute) and is_self(one.value))
    return {one.id for one in nodes if isinstance(one, ast.Name)} | {one.attr for one in own}


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
