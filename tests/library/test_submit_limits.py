"""What is checked at submit so that every reader can take it: times and the lengths of texts."""

import datetime as dt

import pytest
from support import jobs_to_run

from gigq import Job
from gigq.errors import InvalidJob


def job(**values):
    made = Job("job", jobs_to_run.nothing)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-02T03:04:05.000006+00:00", "2026-01-02T03:04:05.000006+00:00"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000000+00:00"),
        ("2026-01-02 03:04:05.000006+00:00", "2026-01-02T03:04:05.000006+00:00"),
        ("2026-01-02T03:04:05,000006+00:00", "2026-01-02T03:04:05.000006+00:00"),
        ("2026-W01-5T03:04:05.000006+00:00", "2026-01-02T03:04:05.000006+00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000+00:00"),
    ],
)
def test_created_at_is_stored_in_one_form(queue, given, kept):
    ids = queue.submit_many([job(created_at=given), job(), job(created_at=given)])

    assert queue.get_status(ids[0])["created_at"] == kept
    assert queue.get_status(ids[2])["created_at"] == kept


def test_created_at_without_a_zone_is_local_time(queue):
    moment = dt.datetime(2026, 1, 2, 3, 4, 5).astimezone()
    job_id = queue.submit(job(created_at="2026-01-02T03:04:05"))

    assert dt.datetime.fromisoformat(queue.get_status(job_id)["created_at"]) == moment


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense",
        5,
        b"2026-01-02T03:04:05",
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "2026-13-02T03:04:05.000006+00:00",
        "0001-01-01T00:00:00+14:00",
        "x" * 10_000_000,
    ],
)
def test_a_created_at_that_is_no_time_is_refused(queue, wrong):
    with pytest.raises(InvalidJob, match=r"job 'job': created_at is .*; give an ISO 8601 time"):
        queue.submit_many([job(), job(created_at=wrong)])
    assert queue.stats()["total"] == 0


def test_the_end_of_a_time_is_checked_also_in_the_second_of_the_job_before(queue):
    good = "2026-01-02T03:04:05.000006+00:00"
    for wrong in (good[:20] + "00000x+00:00", good[:20] + "\u0663" * 6 + "+00:00"):
        with pytest.raises(InvalidJob):
            queue.submit_many([job(created_at=good), job(created_at=wrong)])


@pytest.mark.parametrize(
    ("what", "most"), [("name", 1000), ("id", 255), ("queue", 255), ("description", 10_000)]
)
@pytest.mark.parametrize("letter", ["x", "é"])
def test_texts_have_a_longest_length(queue, what, most, letter):
    job_id = queue.submit(job(**{what: letter * most}))

    assert queue.get_status(job_id)[what] == letter * most
    with pytest.raises(InvalidJob, match=rf"{what} has {most + 1:,} characters; give at most"):
        queue.submit(job(**{what: letter * (most + 1)}))


@pytest.mark.parametrize("what", ["name", "id", "queue", "description"])
@pytest.mark.parametrize("text", ["a\0b", "\0", "é\0", "a" * 254 + "\0"])
def test_a_text_with_nul_is_refused(queue, what, text):
    queue.submit(job())  # so that the rest of the second job is known to be right

    with pytest.raises(
        InvalidJob, match=rf"job .*: {what} is '.* with NUL at index \d+; leave NUL out"
    ):
        queue.submit_many([job(), job(**{what: text})])
    assert queue.stats()["total"] == 1


def test_nul_in_a_parameter_is_stored(queue):
    job_id = queue.submit(job(function=jobs_to_run.fail, params={"message": "a\0b"}))

    assert queue.get_status(job_id)["params"] == {"message": "a\0b"}
