"""The page about exit codes, from the constants of both packages and their docstrings."""

from __future__ import annotations

from reference.markdown import page, table
from reference.source import Constant, constants

_GIGQD = """\
The codes of the commands and of the daemon itself; most follow sysexits(3). `gigqd start`, `gigqd
run` and `gigqd check --db` end with the same code for the same problem. A running daemon does not
end because of its database: it is degraded until the database can be used again. The unit for
systemd restarts the daemon after every code except 0, 2, 72 and 78."""
_STATUS = "`gigqd status` has the codes that the Linux Standard Base defines for init scripts:"
_WORKERS = """\
Only the supervisor sees these codes; the log event [`worker_exited`](log-events.md#worker_exited)
has them. Any other code, any signal, and 0 during a job is a crash."""


def text() -> str:
    """Return the page."""
    return page(
        "Exit codes",
        "gigq/cli/exit_codes.py and gigqd/exit_codes.py",
        "## gigq",
        _table(of_program("gigq")),
        "## gigqd",
        _GIGQD,
        _table(_of_gigqd("")),
        _STATUS,
        _table(_of_gigqd("STATUS_")),
        "## Workers of gigqd",
        _WORKERS,
        _table(_of_gigqd("WORKER_")),
    )


def of_program(name: str) -> list[Constant]:
    """Return the exit codes of a program, without those of its workers."""
    if name == "gigq":
        return constants("gigq.cli.exit_codes")
    return _of_gigqd("") + _of_gigqd("STATUS_")


def _of_gigqd(kind: str) -> list[Constant]:
    kinds = ("STATUS_", "WORKER_")
    every = constants("gigqd.exit_codes")
    return [code for code in every if next(filter(code.name.startswith, kinds), "") == kind]


def _table(codes: list[Constant]) -> str:
    rows = sorted((int(code.value), code.meaning) for code in codes)
    return table(("Code", "Meaning"), rows)
