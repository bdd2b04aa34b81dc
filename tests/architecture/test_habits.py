"""Habits of the code and the tests that a reviewer would otherwise have to look for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from support.tree import PACKAGES, ROOT, modules, parsed

if TYPE_CHECKING:
    from pathlib import Path

SLEEPERS = {
    "tests/unit/test_timer_interrupt.py",  # what is interrupted sleeps
}
"""Test files whose `time.sleep` is not a wait for time to pass. Besides them sleep only job
functions, and the pause between two looks at a condition; both are in `tests/support`."""

BROAD_EXCEPTS = {
    "gigq/model/failure_details.py",  # an exception whose attributes raise
    "gigq/execution/runner.py",  # a row that foreign SQL has written
    "gigq/cli/dispatch.py",  # a user's mistake must not end in a traceback
    "gigq/cli/user_code.py",  # the user's module, while it is imported
    "gigq/execution/attempt.py",  # the user's function
    "gigq/execution/error_text.py",  # exceptions with methods of their own
    "gigq/execution/retry_advice.py",  # the application's retry functions and exceptions
    "gigq/execution/hooks.py",  # the application's hooks
    "gigq/model/signatures.py",  # default values and annotations with methods of their own
    "gigq/model/start_times.py",  # zones of the application
    "gigq/model/codec.py",  # a value with methods of its own
    "gigq/events.py",  # a subscriber
    "gigq/errors.py",  # the reason of a decision, which may be any object
    "gigq/model/scripts.py",  # the attributes of what a script defines
}
"""Where the library catches everything. Each place has its reason beside it."""


def sleeps_in(file: Path) -> list[str]:
    """Where a file sleeps for time. `time.sleep(0)` only lets others run."""
    return [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "sleep"}
        and ast.unparse(node.args[0]) != "0"
    ]


def test_tests_wait_for_conditions_and_never_sleep_for_time():
    watched = [f for f in modules("tests") if f.name.startswith(("test_", "conftest"))]
    sleeps = [place for file in watched for place in sleeps_in(file)]

    assert [place for place in sleeps if place.partition(":")[0] not in SLEEPERS] == []


def test_no_exception_is_swallowed_by_an_empty_handler():
    swallowed = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in modules()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]

    assert swallowed == []


def test_the_library_catches_everything_only_where_strangers_code_runs():
    def is_broad(node):
        names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
        return bool(names & {"Exception", "BaseException"}) and not reraises(node)

    def reraises(node):
        return any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))

    broad = {
        str(file.relative_to(ROOT))
        for file in modules("gigq")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or is_broad(node))
    }

    assert broad <= BROAD_EXCEPTS


def test_test_files_are_not_a_package():
    packages = list((ROOT / "tests").rglob("__init__.py"))

    assert packages == []


def test_every_module_says_what_it_is():
    silent = [
        str(f.relative_to(ROOT)) for f in modules(*PACKAGES) if not ast.get_docstring(parsed(f))
    ]

    assert silent == []
