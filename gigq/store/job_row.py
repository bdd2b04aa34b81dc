"""The row of a new job, whose fields are the columns of the insertion."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args, get_type_hints

Values = tuple[Any, ...]
Null = Literal[""]

NULL: Null = ""
"""The value for NULL in a `JobRow`: Python's sqlite3 searches an adapter for every None that it
binds, which takes as long as the insertion for a row with several of them."""


NO_PARENTS = "[]"
"""The dependencies of a job without parents, as JSON text."""


class JobRow(NamedTuple):
    """The row of a new job.

    The statement `insert_job` is made of these fields: each is a column of `jobs` with the same
    name, and `Null` in its type says that the column can be NULL. Code gives every value by the
    name of its field and binds a plain tuple in this order, since Python's sqlite3 is much slower
    with a named one. The columns that jobs of a batch usually share are first.
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
    retry_policy: str | Null
    retry_after: str | Null
    expires_at: str | Null
    due_why: str | Null
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


NULLABLE = frozenset(
    name for name, kind in get_type_hints(JobRow).items() if Null in get_args(kind)
)
"""The columns whose value may be `NULL`."""


def insertion(template: str) -> str:
    """Return the statement that stores a `JobRow`, with its columns and parameters."""
    places = ("nullif(?, '')" if name in NULLABLE else "?" for name in JobRow._fields)
    return template.format(columns=", ".join(JobRow._fields), values=", ".join(places))


def postgres_insertion(template: str) -> str:
    """Return a statement of PostgreSQL that stores a `JobRow` or many, given as texts."""
    return template.format(
        columns=", ".join(JobRow._fields),
        named=", ".join(_typed(name, f":{name}") for name in JobRow._fields),
        values=", ".join(_typed(name, name) for name in JobRow._fields),
        arrays=", ".join("?::text[]" for _ in JobRow._fields),
    )


def _typed(name: str, text: str) -> str:
    """Return the expression for the value of a column that is given as text."""
    if name == "updated_at":
        return "gigq_now()"  # the time of the server, not of the host that submits
    value = f"nullif({text}, '')" if name in NULLABLE else text
    kind = get_type_hints(JobRow)[name]
    return f"{value}::{_TYPES[(get_args(kind) or (kind,))[0]]}"


_TYPES = {str: "text", float: "numeric", int: "bigint", bool: "bigint"}
"""The types of PostgreSQL's columns."""
