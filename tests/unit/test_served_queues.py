"""Which queues a worker serves."""

from __future__ import annotations

from typing import Any

import pytest

from gigq import InvalidJob, Job, Worker
from gigq.model.served_queues import checked, parse


def work() -> None:
    """A job's function."""


@pytest.mark.parametrize(
    ("patterns", "served", "left"),
    [
        (None, ["a", "default", "*", ""], []),
        (["*"], ["a", "default"], []),
        (["a"], ["a"], ["b", "*", "A", "a "]),
        (["a", "b"], ["a", "b"], ["c"]),
        (["*", "!etl"], ["a", "!etl"], ["etl"]),
        (["!b", "*", "!etl"], ["a"], ["b", "etl"]),
        (["a*"], ["a*"], ["ab"]),
        ([], [], ["a", ""]),
    ],
)
def test_a_list_of_queues_serves_names_or_every_queue_or_all_but_some(
    patterns: list[str] | None, served: list[str], left: list[str]
) -> None:
    queues = parse(patterns)

    assert all(queues.serves(name) for name in served)
    assert not any(queues.serves(name) for name in left)


def test_a_queue_that_is_no_text_is_served_by_those_who_leave_others_out() -> None:
    assert parse(["*", "!a"]).serves(b"a")
    assert not parse(["a"]).serves(b"a")


def test_equal_sets_have_equal_patterns() -> None:
    assert parse(["!b", "*", "!a"]).patterns() == parse(["*", "!a", "!b"]).patterns()
    assert parse(["b", "a"]).patterns() == parse(["a", "b"]).patterns()
    assert parse(["*"]).patterns() == parse(None).patterns() == ["*"]


WRONG = [
    (["*", "etl"], r'"\*" is every queue, so "etl" adds nothing'),
    (["etl", "*", "!a"], r'"\*" is every queue, so "etl" adds nothing'),
    (["!etl"], r'"!etl" only leaves out; add "\*"'),
    (["a", "!etl"], r'"!etl" only leaves out; add "\*"'),
    (["a", "b", "a"], '"a" is listed twice'),
    (["*", "*"], r'"\*" is listed twice'),
    (["*", "!a", "!a"], '"!a" is listed twice'),
    (["*", "!"], '"!" does not name a queue'),
    (["*", "!*"], r'"!\*" does not name a queue'),
    (["*", "!!a"], '"!!a" does not name a queue'),
    ([""], '"" does not name a queue'),
    ([], "an empty list serves no queue"),
    ([7], "7 is not the name of a queue"),
    ([["a"]], r"\['a'\] is not the name of a queue"),
    ("mail", r"queues is the text 'mail'; give a list: \['mail'\]"),
    (["!a\n", "!b"], r'"!a\\n", "!b" only leaves out'),
]


@pytest.mark.parametrize(("patterns", "message"), WRONG)
def test_a_list_that_contradicts_itself_is_refused(patterns: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(patterns)
    with pytest.raises(ValueError, match=message):
        Worker("q.db", queues=patterns)


@pytest.mark.parametrize("name", ["*", "!", "!etl"])
def test_a_job_is_not_submitted_to_a_queue_that_reads_as_a_pattern(name: str) -> None:
    with pytest.raises(InvalidJob, match="which workers read as a pattern"):
        Job("job", work, queue=name)


@pytest.mark.parametrize("name", ["a*", "etl!", "ü!*"])
def test_other_names_may_hold_the_same_characters(name: str) -> None:
    assert Job("job", work, queue=name).queue == name
