"""gigqd's log and an application that configures the logging module do not harm each other."""

from __future__ import annotations

import pytest
from support import fork_server
from support.configs import clean_environment
from support.log_reader import entries
from support.logging_apps import STATEMENTS, WITH_A_HANDLER

PROGRAM = """
import io, logging.config, sys, warnings
from pathlib import Path
from gigq import events
from gigqd import logs
from gigqd.config import LogConfig
logs.configure(LogConfig(format="json", file=Path({log!r})))
events.send_to(logs.LibraryEvents())

def say(number):
    logs.enter_job({{"job_id": f"j{{number}}"}})
    logging.getLogger("gigq.worker.w")
    {in_job}
    logging.getLogger(f"shop.n{{number}}").warning("from the application")
    warnings.warn(f"careful, {{number}}")
    logs.leave_job()
    events.emit("job.failed", level=logging.ERROR, job_id=f"j{{number}}")
    logs.get_logger("gigqd.worker").warning("job_left_residue")

events.emit("job.started", job_id="j0")
{at_import}
say(1)
say(2)
"""


def said(tmp_path, statement: str, *, at_import: bool) -> tuple[list[dict[str, object]], str]:
    """What two jobs of an application write to the log, and to the standard error."""
    places = {"at_import": "pass", "in_job": "pass", "log": str(tmp_path / "log")}
    places["at_import" if at_import else "in_job"] = statement
    program = PROGRAM.format(**places)
    done = fork_server.run("-c", [program], folder=tmp_path, environment=clean_environment())
    assert done.returncode == 0, done.stderr
    return entries(tmp_path / "log"), done.stderr


def of(lines, event: str) -> list[tuple[object, object]]:
    return [(line.get("job_id"), line["level"]) for line in lines if event in line["event"]]


@pytest.mark.parametrize("at_import", [True, False], ids=["at import", "in the job"])
@pytest.mark.parametrize("what", STATEMENTS)
def test_the_log_has_all_lines_and_the_handlers_of_the_application_its_own(
    tmp_path, what: str, at_import: bool
) -> None:
    lines, output = said(tmp_path, STATEMENTS[what], at_import=at_import)

    assert of(lines, "job.failed") == [("j1", "error"), ("j2", "error")]
    assert of(lines, "job_left_residue") == [(None, "warning")] * 2
    assert of(lines, "from the application") == [("j1", "warning"), ("j2", "warning")]
    assert of(lines, "careful, 1") == [("j1", "warning")]
    assert output.count("from the application") == 2 * (what in WITH_A_HANDLER)
    assert "job.failed" not in output
    assert "job_left_residue" not in output


def test_a_record_that_does_not_reach_the_root_logger_is_not_in_the_log(tmp_path) -> None:
    alone = "logging.getLogger('shop').propagate = False"
    lines, _ = said(tmp_path, alone, at_import=True)

    assert of(lines, "from the application") == []
    assert len(of(lines, "job.failed")) == 2


def test_a_warning_for_a_certain_file_goes_there(tmp_path) -> None:
    shown = "warnings.showwarning('for the file', UserWarning, 'x.py', 1, file=sys.stderr)"
    lines, output = said(tmp_path, shown, at_import=True)

    assert of(lines, "for the file") == []
    assert "UserWarning: for the file" in output


def test_an_application_that_captures_warnings_itself_gets_them_and_the_log_too(tmp_path) -> None:
    statement = WITH_A_HANDLER["dictConfig, existing loggers kept"]
    lines, output = said(tmp_path, f"{statement}; logging.captureWarnings(True)", at_import=True)

    assert of(lines, "careful, 2") == [("j2", "warning")]
    assert output.count("careful, 2") == 1
