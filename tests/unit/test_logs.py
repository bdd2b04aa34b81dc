"""What a log line says, whether it began in structlog or in the standard library."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import warnings
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from support.log_reader import entries, logging_restored, run_python

from gigqd import logs
from gigqd.config import LogConfig
from gigqd.errors import GigqdError
from gigqd.logs import pipeline, structlog_import
from gigqd.logs.loggable_values import plain, plain_entry
from gigqd.logs.render import LINE_LIMIT, render_json

log = logs.get_logger("gigqd.test")
job_log = logging.getLogger("myapp.jobs")


@contextmanager
def in_job(**fields):
    logs.enter_job(fields)
    try:
        yield
    finally:
        logs.leave_job()


@pytest.fixture
def file(tmp_path):
    with logging_restored():
        logs.configure(LogConfig(format="json", file=tmp_path / "log"), run="gigqd:7")
        yield tmp_path / "log"


def last(file):
    return entries(file)[-1]


def test_a_line_has_its_time_event_level_logger_and_what_is_bound(file):
    before = datetime.now().astimezone()
    log.info("worker_ready", slot="default/0")
    entry = last(file)

    assert before <= datetime.fromisoformat(entry.pop("ts")) <= datetime.now().astimezone()
    assert entry == {
        "level": "info", "event": "worker_ready", "logger": "gigqd.test", "pid": os.getpid(),
        "run": "gigqd:7", "slot": "default/0",
    }  # fmt: skip


def test_the_time_has_always_the_same_width(file):
    log.info("worker_ready")

    assert len(last(file)["ts"]) == len("2026-11-23T19:09:12.123456+00:00")
    assert last(file)["ts"].endswith("+00:00")


def test_a_field_may_name_another_process_but_never_another_time_or_level(file):
    log.info("worker_exited", pid=1, ts="x", level="y", logger="z")

    assert last(file)["pid"] == 1
    assert (last(file)["level"], last(file)["logger"]) == ("info", "gigqd.test")


def test_only_what_has_the_level_is_written_and_the_level_may_change(file):
    log.debug("one")
    logs.set_level("debug")
    log.debug("two")
    logs.set_level("error")
    log.warning("three")
    job_log.warning("four")
    job_log.error("five")

    assert [entry["event"] for entry in entries(file)] == ["two", "five"]


def test_the_jobs_own_logging_has_the_fields_of_the_job(file):
    with in_job(job="j1", attempt=2):
        job_log.warning("sent %d of %d", 3, 4, extra={"shop": "north"})
    job_log.warning("later")
    sent, later = entries(file)

    assert sent["event"] == "sent 3 of 4"
    assert (sent["logger"], sent["level"]) == ("myapp.jobs", "warning")
    assert (sent["job"], sent["attempt"], sent["shop"]) == ("j1", 2, "north")
    assert "job" not in later


def test_a_thread_that_a_job_starts_has_the_fields_of_the_job_too(file):
    with in_job(job="j1"):
        thread = threading.Thread(target=job_log.warning, args=("from a thread",))
        thread.start()
        thread.join()

    assert last(file)["job"] == "j1"


def test_a_job_that_uses_structlog_itself_writes_to_the_same_place(file):
    with in_job(job="j1"):
        structlog.get_logger("mine").bind(a=1).warn("hello", b=2)

    assert last(file).items() >= {
        "event": "hello", "level": "warning", "logger": "mine", "job": "j1", "a": 1, "b": 2,
    }.items()  # fmt: skip


def test_what_a_job_bound_ends_with_it(file):
    def run():
        with in_job(job="j1"):
            structlog.contextvars.bind_contextvars(order=5)
            log.info("one")
        log.info("two")

    contextvars.copy_context().run(run)
    one, two = entries(file)

    assert one["order"] == 5
    assert "order" not in two
    assert "job" not in two


def test_a_job_that_configures_structlog_anew_does_not_silence_the_daemon(file):
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    log.info("worker_ready")

    assert last(file)["event"] == "worker_ready"


def test_fields_that_are_bound_are_added_to_those_before_and_a_later_one_wins(file):
    logs.bind(worker="w1", pool="p")
    logs.bind(worker="w2")
    log.bind(slot="p/0").info("worker_ready")
    log.info("worker_ready", pool="q")
    one, two = entries(file)

    assert (one["run"], one["worker"], one["pool"], one["slot"]) == ("gigqd:7", "w2", "p", "p/0")
    assert (two["worker"], two["pool"], "slot" in two) == ("w2", "q", False)


def test_an_event_of_the_library_keeps_its_name_and_fields(file):
    extra = {"event": "job.superseded", "fields": {"job_id": "j1", "password": "x"}}
    logging.getLogger("gigq").warning("job.superseded job_id='j1'", extra=extra)

    assert last(file)["event"] == "job.superseded"
    assert last(file)["job_id"] == "j1"
    assert last(file)["password"] == "***"
    assert "fields" not in last(file)


def test_an_exception_becomes_fields_on_the_same_line(file):
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("child_failed")
        job_log.exception("failed")

    for entry in entries(file):
        assert entry["level"] == "error"
        assert (entry["exc_type"], entry["exc"]) == ("ValueError", "first\nsecond")
        assert entry["traceback"].splitlines()[0] == "Traceback (most recent call last):"
        assert __file__ in entry["traceback"]


def test_an_exception_may_be_given_or_missing(file):
    log.error("one", exc_info=GigqdError("given"))
    log.error("two", exc_info=True)  # noqa: LOG014 - that none is being handled is the point
    job_log.error("three", exc_info=True, stack_info=True)
    one, two, three = entries(file)

    assert one["exc_type"] == "gigqd.errors.GigqdError"
    assert "exc_type" not in two
    assert "test_logs.py" in three["stack"]


def test_warnings_of_python_are_log_lines(file):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    assert last(file)["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in last(file)["event"]


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no str")


class BrokenMapping(dict):
    def items(self):
        raise RuntimeError("no items")


def without_the_handlers_of_the_test_runner():
    """They raise for records that cannot be shown, and are back for the next test."""
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h).__module__.startswith("gigqd.")]


def test_no_value_at_all_stops_a_line(file):
    without_the_handlers_of_the_test_runner()
    loop: list[object] = []
    loop.append(loop)
    log.info(
        "worker_exited", a=Broken(), b={Broken(): {1, 2}}, c=float("nan"), d=10**5000, e=loop,
        f="\ud800", g=b"\xff", h=BrokenMapping(), i=Path("/x"), j=object, k=1e400,
    )  # fmt: skip
    log.info("child_failed", exc_info=BrokenError())
    job_log.warning("%d of %d", "x")
    job_log.warning("%s", Broken())
    job_log.warning(Broken())
    values, error, arguments, broken, message = entries(file)

    assert values["a"] == "<Broken: cannot be shown>"
    assert values["b"] == {"<Broken: cannot be shown>": [1, 2]}
    assert (values["c"], values["d"], values["k"]) == ("nan", "a huge number", "inf")
    assert (values["f"], values["g"], values["i"]) == ("\\ud800", "\\xff", "/x")
    assert error["exc"] == "<BrokenError: cannot be shown>"
    assert arguments["event"].startswith("%d of %d")
    assert broken["event"].startswith("%s")
    assert "cannot be shown" in message["event"]


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWD", "token", "accessToken", "client-secret", "api_key", "Authorization"],
)
def test_fields_that_are_named_like_secrets_are_masked(file, key):
    log.info("one", **{key: "hunter2"}, nested=[{key: {"deep": "hunter2"}}])

    assert "hunter2" not in file.read_text()
    assert last(file)[key] == "***"


def test_passwords_in_addresses_are_masked(file):
    log.info("db_down", error="cannot reach postgresql://amy:hunter2@db/jobs?x=1")

    assert last(file)["error"] == "cannot reach postgresql://amy:***@db/jobs?x=1"


def test_a_long_text_loses_its_middle_and_a_long_line_its_details(file):
    log.info("one", output="a" * 10**6 + "z")
    log.info("two", rows=[{"x": "y" * 1000}] * 1000)
    log.info("three", **{f"k{n}": ["y" * 500] * 20 for n in range(20)})
    one, two, three = entries(file)

    assert one["output"].startswith("aaa")
    assert one["output"].endswith("z")
    assert two["truncated"] is True
    assert two["rows"][-1] == "… 980 more"
    assert three.keys() == {"ts", "level", "event", "logger", "pid", "truncated"}
    assert all(len(line) <= LINE_LIMIT + 1 for line in file.read_bytes().splitlines())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_any_value_is_one_line_of_ascii_json(value):
    line = render_json({"value": value})

    assert line.isascii()
    assert line.isprintable()


@given(
    st.dictionaries(
        st.sampled_from(["slot", "password", "://", "key" * 100]) | st.text(),
        st.sampled_from([10**100, "x" * 9000, "a://b:c@d", "\ud800", b"x", []])
        | st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    )
)  # fmt: skip
def test_an_entry_is_the_same_whether_or_not_a_value_had_to_be_changed(entry):
    for _ in range(2):  # the second time its keys are known
        assert render_json(plain_entry(entry)) == render_json(plain(entry))


@given(st.text())
def test_text_without_surrogates_is_kept_as_it_is(text):
    kept = text.encode("utf-8", "ignore").decode()

    assert plain(kept) == kept or "://" in kept


@pytest.mark.fault("H11")
def test_a_defect_in_making_a_line_is_reported_in_its_place(file, monkeypatch):
    def broken(_entry):
        raise KeyError("a defect")

    monkeypatch.setattr(pipeline._state, "render", broken)
    log.warning("worker_exited", slot="default/0")

    assert last(file).items() >= {
        "event": "log_failed", "lost_event": "worker_exited", "lost_level": "warning",
        "failure": "KeyError",
    }.items()  # fmt: skip


def test_a_file_that_cannot_be_opened_is_an_error_with_an_exit_code(tmp_path):
    with logging_restored(), pytest.raises(GigqdError, match=r"No such file") as caught:
        logs.configure(LogConfig(file=tmp_path / "missing" / "log"))

    assert caught.value.exit_code == 73


def test_structlog_is_loaded_for_a_job_that_imports_it_and_for_nobody_else(tmp_path):
    run_python(f"""
        import sys
        from pathlib import Path
        import gigqd.supervisor.loop, gigqd.recorder.recorder, gigqd.worker.worker
        logs.configure(LogConfig(format="json", file=Path({str(tmp_path / "log")!r})))
        logs.configure(LogConfig(format="json", file=Path({str(tmp_path / "log")!r})))
        heavy = {{"structlog", "asyncio", "ssl"}} & set(sys.modules)
        logs.get_logger("gigqd.test").info("one", heavy=sorted(heavy))
        import structlog
        structlog.contextvars.bind_contextvars(order=5)
        structlog.get_logger("mine").info("two")
        logs.get_logger("gigqd.test").info("three")
    """)
    one, two, three = entries(tmp_path / "log")

    assert one["heavy"] == []
    assert ("order" in one, two["order"], three["order"]) == (False, 5, 5)
    assert (two["event"], two["logger"]) == ("two", "mine")


def test_a_structlog_whose_modules_have_other_names_is_loaded_as_a_whole(monkeypatch):
    def without_the_module(name):
        if name == "structlog._base":
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(structlog_import, "import_module", without_the_module)

    assert structlog_import.load_bound_logger() is structlog.BoundLoggerBase
