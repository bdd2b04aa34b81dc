"""Events reach subscribers and the log."""

import io
import logging

import pytest

from gigq import events


def test_a_subscriber_is_told_until_it_ends_its_subscription():
    found = []
    end = events.subscribe(lambda name, fields: found.append((name, fields)))
    events.emit("job.started", job_id="a")
    end()
    end()
    events.emit("job.completed", job_id="a")

    assert found == [("job.started", {"job_id": "a"})]


def test_a_subscriber_that_fails_is_logged_and_the_others_are_told(reported, caplog):
    def broken(name, fields):
        raise ZeroDivisionError

    end = events.subscribe(broken)
    events.emit("job.started", job_id="a")
    end()

    assert reported == [("job.started", {"job_id": "a"})]
    assert "subscriber.failed at='job.started'" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_log_record_carries_the_event_and_its_fields(caplog):
    with caplog.at_level(logging.INFO, "gigq"):
        events.emit("job.started", job_id="a", queue=None)

    assert caplog.messages == ["job.started job_id='a'"]
    assert caplog.records[0].event == "job.started"
    assert caplog.records[0].fields == {"job_id": "a", "queue": None}


def test_nothing_is_printed_unless_logging_is_set_up(capsys):
    events.emit("job.failed", level=logging.ERROR, job_id="a")

    assert capsys.readouterr() == ("", "")


@pytest.fixture
def restored_logger():
    handlers, level, propagate = events.logger.handlers[:], events.logger.level, True
    yield events.logger
    events.logger.handlers[:] = handlers
    events.logger.setLevel(level)
    events.logger.propagate = propagate


def test_logging_can_be_set_up_more_than_once_and_writes_each_line_once(
    restored_logger, monkeypatch
):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    events.setup_logging()
    events.setup_logging(logging.WARNING)
    events.emit("job.started", job_id="quiet")
    events.emit("job.failed", level=logging.ERROR, job_id="a")

    assert stderr.getvalue().count("job.failed job_id='a'") == 1
    assert "gigq - ERROR" in stderr.getvalue()
    assert "quiet" not in stderr.getvalue()


def test_an_event_heard_by_a_subscriber_or_by_a_log_of_its_level(caplog):
    assert not events.heard(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, logger="gigq"):
        assert events.heard(logging.DEBUG)
    end = events.subscribe(lambda name, fields: None)
    assert events.heard(logging.DEBUG)
    end()
    assert not events.heard(logging.DEBUG)
