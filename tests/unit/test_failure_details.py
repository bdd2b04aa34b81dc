"""The facts of a failure, from an exception and from the text that is stored of it."""

from __future__ import annotations

import json
import types
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.claims import claim
from support.tree import ROOT

from gigq.execution import attempt, error_text, timer_interrupt
from gigq.model import failure_details
from gigq.model.failure_details import Failure, split
from gigq.model.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable


class OutOfStockError(Exception):
    """An exception of an application."""


def facts_of(function: Callable[[], object]) -> Failure:
    """The facts of the failure of a job that this function is."""
    ending = attempt.run(
        claim(),
        attempt.Environment(
            load=lambda _ref: function,
            parent_results=lambda _parents: {},
            interrupter=timer_interrupt.for_this_thread(),
        ),
    )
    assert ending.failure is not None
    assert split(ending.error)[:3] == ending.failure[:3]
    return ending.failure


def raising(error: BaseException) -> Callable[[], None]:
    def job() -> None:
        raise error

    return job


def with_notes(error: Exception, *notes: str) -> Exception:
    for note in notes:
        error.add_note(note)
    return error


MESSAGES = [
    (ValueError("boom"), "ValueError", "boom"),
    (ValueError(), "ValueError", ""),
    (KeyError("x"), "KeyError", "'x'"),
    (ValueError("a: b: c"), "ValueError", "a: b: c"),
    (ValueError("first\nsecond"), "ValueError", "first\nsecond"),
    (ValueError("first\n\nsecond"), "ValueError", "first\n\nsecond"),
    (
        ValueError("Traceback (most recent call last):\n\nTraceback (most recent call last):\n"),
        "ValueError",
        "Traceback (most recent call last):\n\nTraceback (most recent call last):",
    ),
    (OutOfStockError("3 left"), f"{__name__}.OutOfStockError", "3 left"),
    (with_notes(ValueError("boom"), "while packing"), "ValueError", "boom\nwhile packing"),
    (SystemExit(3), "SystemExit", "3"),
    (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "ExceptionGroup", None),
]


@pytest.mark.parametrize(("error", "kind", "message"), MESSAGES, ids=lambda value: repr(value)[:30])
def test_an_exception_has_its_class_its_message_and_its_traceback(
    error: BaseException, kind: str, message: str | None
) -> None:
    facts = facts_of(raising(error))

    assert facts.type == kind
    assert message is None or facts.message == message
    assert facts.traceback is not None
    assert "Traceback (most recent call last):" in facts.traceback.splitlines()[0]
    assert f'File "{__file__}"' in facts.traceback


def line_of(text: str) -> int:
    lines = (ROOT / "tests" / "unit" / "test_failure_details.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def parse_nothing() -> None:
    json.loads("")  # the line that counts


def test_the_place_is_the_last_line_of_the_jobs_own_code_and_not_that_of_a_library() -> None:
    facts = facts_of(parse_nothing)

    assert (facts.file, facts.line) == (__file__, line_of("# the line that counts"))


def test_a_chain_of_exceptions_keeps_the_last_one_and_the_whole_traceback() -> None:
    def job() -> None:
        try:
            parse_nothing()
        except ValueError as error:
            raise OutOfStockError("3 left") from error

    facts = facts_of(job)

    assert (facts.type, facts.message) == (f"{__name__}.OutOfStockError", "3 left")
    assert facts.traceback is not None
    assert "JSONDecodeError" in facts.traceback
    assert facts.line == line_of('raise OutOfStockError("3 left") from error')


def test_a_syntax_error_is_placed_in_the_file_that_holds_it(tmp_path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    facts = facts_of(lambda: compile(broken.read_text(), str(broken), "exec"))

    assert facts == Failure("SyntaxError", "invalid syntax", facts.traceback, str(broken), 1)


def test_a_call_that_does_not_fit_the_function_has_no_place() -> None:
    facts = facts_of(lambda _missing: None)

    assert facts.type == "TypeError"
    assert (facts.file, facts.line) == (None, None)


def test_an_application_that_is_installed_is_the_jobs_own_code_too(tmp_path) -> None:
    package = tmp_path / "site-packages" / "m.py"
    package.parent.mkdir()
    package.write_text("import json\ndef job():\n    json.loads('')\n")
    module = types.ModuleType("m")
    exec(compile(package.read_text(), str(package), "exec"), vars(module))
    facts = facts_of(module.job)

    assert (facts.file, facts.line) == (str(package), 3)


@pytest.mark.parametrize(
    ("stored", "kind", "message"),
    [
        ("WorkerCrashed: it exited with 3", "WorkerCrashed", "it exited with 3"),
        ("OSError: no", "OSError", "no"),
        ("Payment: declined", None, "Payment: declined"),
        ("see https://example.org", None, "see https://example.org"),
        ("", None, ""),
        (
            "parent job 'a' (1) ended as failed; requeue it",
            None,
            "parent job 'a' (1) ended as failed; requeue it",
        ),
        (
            "cancelled while it ran; the attempt ended so: JobCancelled: it was killed",
            "JobCancelled",
            "cancelled while it ran; the attempt ended so: JobCancelled: it was killed",
        ),
        (
            "crash limit reached: 3 of its attempts; the last one: WorkerCrashed: exited",
            "WorkerCrashed",
            "crash limit reached: 3 of its attempts; the last one: WorkerCrashed: exited",
        ),
    ],
)  # fmt: skip
def test_an_error_without_a_traceback_names_a_class_only_if_it_looks_like_one(
    stored: str, kind: str | None, message: str
) -> None:
    assert split(stored) == Failure(kind, message)


@pytest.mark.parametrize("stored", [None, b"\xff", 3, 1.5])
def test_what_is_no_text_has_no_facts(stored: object) -> None:
    assert split(stored) == Failure()


@given(st.text())
def test_any_text_may_be_stored_as_an_error(text: str) -> None:
    facts = split(text)

    assert facts.message is not None
    assert facts.message in text
    for field in failure_details.fields(facts).values():
        assert field is None or field.encode() is not None


@given(st.text())
@example("\r")
@example("\0")
@example("\n\n\n")
@example("\ud800")
def test_the_message_of_any_exception_is_found_again(text: str) -> None:
    error = ValueError(text)
    stored = error_text.error_text(error)
    facts = split(stored)

    assert facts.type == "ValueError"
    kept = storable(f"ValueError: {text}".strip())
    assert facts.message == kept.removeprefix("ValueError:")[1:]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\0b", "a\\x00b"),
        ("caf\udce9", "caf\\udce9"),
        ("\0\udce9\0", "\\x00\\udce9\\x00"),
        ("é\0", "é\\x00"),
    ],
)
def test_nul_and_lone_surrogates_are_stored_as_escapes(text: str, stored: str) -> None:
    assert storable(text) == stored


def test_an_error_of_very_many_blank_lines_is_read_too() -> None:
    assert split("ValueError: " + "\n\n" * 30_000).type == "ValueError"


def test_fields_are_short_and_hold_whole_characters_only() -> None:
    fields = failure_details.fields(Failure("E", "x" * 1000, "\ud800", "\udcff.py", 3))

    assert fields == {
        "error_type": "E",
        "error_message": "x" * 497 + "...",
        "error_file": "\\udcff.py",
        "error_line": 3,
        "error_traceback": "\\ud800",
    }


def test_a_huge_text_of_another_program_is_given_up_on_and_stays_whole() -> None:
    text = "a" + "\n\nb" * 700_000

    assert split(text) == Failure(message=text)
