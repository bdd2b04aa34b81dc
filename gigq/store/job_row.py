"""The row of a new job, whose fields are the columns of the insertion."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args, get_type_hints

Values = tuple[Any, ...]
Null = Literal[""]

NULL: Null = ""
"""NULL as a `JobRow` has it: Python's sqlite3 looks up an adapter for every None that it binds,
which for a row with several of them takes as long as the insertion."""


NO_PARENTS = "[]"
"""The dependencies of a job without parents, as JSON text."""


class JobRow(NamedTuple):
    """A new job as it is stored.

    The statement `insert_job` is made of these fields: a field is a column of `jobs` with the same
    name, and `Null` in its type says that the column can be NULL. Whoever writes a row gives every
    value by the name of its field, and stores it as a plain tuple in this order: Python's sqlite3
    takes much longer over a named one. The columns that jobs of a batch mostly share stand first.
    """

    updated_at: str
    function_module: str
    function_name: str
    function_file: str | Null
    queue: str
    priority: int
    max_attempts: int
    timeout: float | Null
    retry_delay: float
    retry_after: str | Null
    on_parent_failure: str
    pass_parent_results: bool | Null
    memory_limit: int | Null
    crash_limit: int | Null
    workflow: str | Null
    id: str
    name: str
    description: str
    created_at: str
    dependencies: str
    params: str
    unmet: int = 0


def insertion(template: str) -> str:
    """Return the statement that stores a `JobRow`, with its columns and a place for each value."""
    hints = get_type_hints(JobRow)
    places = ("nullif(?, '')" if Null in get_args(hints[n]) else "?" for n in JobRow._fields)
    return template.format(columns=", ".join(JobRow._fields), values=", ".join(places))
