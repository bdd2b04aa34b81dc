"""The output of `gigq status`: a job, its attempts and the post-mortem of a failed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli.formatting import cut, fields, indented, local_time, number, seconds
from gigq.model.strict_json import strict_json
from gigq.model.units import format_duration, format_size
from gigq.terminal import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

_OUTPUT_LINES = 10
_WHY_DUE = {
    "submit": "submitted",
    "delay": "its delay was over",
    "retry": "another attempt",
    "snooze": "it had raised Snooze",
    "requeue": "requeued",
    "parent": "its parents had ended",
    "resume": "a stop had interrupted it",
    "rescheduled": "rescheduled",
}
_FINE = ("running", "completed")


def parts(found: Mapping[str, Any], args: argparse.Namespace) -> Iterable[str]:
    """Yield the requested parts of `gigq status`, and the last attempt if it failed."""
    yield fields(_job_fields(found))
    if args.show_params:
        yield "Parameters:\n" + _parameters(found["params"] or {})
    if args.show_result:
        yield "Result:\n" + _result(found["result"])
    executions = found["executions"]
    if args.show_executions:
        described = [_execution(found, one, with_error=True) for one in executions]
        yield "Executions:\n" + ("\n\n".join(described) or "  none")
    elif executions and _is_worth_showing(executions[-1]):
        last = executions[-1]
        yield "Last attempt:\n" + _execution(
            found, last, with_error=last["error"] != found["error"]
        )


def _is_worth_showing(one: Mapping[str, Any]) -> bool:
    """Return True for an attempt that failed or was interrupted."""
    return one["status"] not in _FINE or one["interrupted_by"] is not None


def _job_fields(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "Job", f"{cut(found['name'])} ({cut(found['id'])})"
    yield "Status", "; ".join(filter(None, (found["status"], found["why_abandoned"])))
    if found["why_waiting"]:
        yield "Waiting", found["why_waiting"]
    for what in ("created", "updated", "started", "completed"):
        yield what.capitalize(), local_time(found[f"{what}_at"])
    yield "Attempts", f"{found['attempts']} / {found['max_attempts']}"
    if isinstance(found["retry_policy"], str):
        yield "Retry policy", found["retry_policy"]
    yield "Queue", cut(found["queue"])
    if found["workflow"]:
        yield "Workflow", cut(found["workflow"])
    if found["memory_limit"]:
        yield "Memory limit", number(found["memory_limit"], format_size)
    if found["retry_after"]:
        yield "Not before", local_time(found["retry_after"])
    if found["expires_at"] and found["status"] == "pending":
        yield "Expires", local_time(found["expires_at"])
    if found["dependencies"]:
        named = found["dependencies"]
        yield "Depends on", named if isinstance(named, str) else ", ".join(named)
    if found["worker_id"]:
        yield "Worker", _on_host(found["worker_id"], found["host"])
    yield from _ending_fields(found)


def _on_host(worker: str, host: str | None) -> str:
    """Return a worker's name with its host, which the names of a daemon's workers contain."""
    return f"{worker} on {host}" if host and f"@{host}:" not in worker else worker


def _ending_fields(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    # While an attempt runs, the row still has the cause and error of the one before it.
    label = "Previous {}" if found["status"] == "running" else "{}"
    if found["cause"]:
        yield label.format("cause").capitalize(), found["cause"]
    if found["error"]:
        yield label.format("error").capitalize(), found["error"]
    if found["status"] == "running" and found["executions"]:
        asked = found["executions"][-1]["cancel_requested_at"]
        if asked:
            yield "Cancel requested", local_time(asked)


def _execution(found: Mapping[str, Any], one: Mapping[str, Any], *, with_error: bool) -> str:
    pairs = [*_life(one), *_figures(one)]
    if with_error and one["error"] is not None:
        pairs.append(("Error", one["error"]))
    if one["note"] is not None:
        pairs.append(("Note", one["note"]))
    if one["stack"] is not None:
        pairs.append(("Stack", one["stack"]))
    if one["output"] is not None:
        pairs.append(("Output", _end_of_output(found, one)))
    return fields(pairs, "  ")


def _life(one: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "Execution", one["id"]
    yield "Attempt", one["attempt"] or "-"
    yield "Status", one["status"]
    yield "Worker", one["worker_id"] or "-"
    if one["due_at"]:
        yield "Due", f"{local_time(one['due_at'])} ({_WHY_DUE.get(one['due_why'], '-')})"
    yield "Started", local_time(one["started_at"])
    if one["cancel_requested_at"]:
        yield "Cancel requested", local_time(one["cancel_requested_at"])
    yield "Completed", local_time(one["completed_at"])
    yield "Took", seconds(one["started_at"], one["completed_at"])
    for label in ("cause", "exit_code", "signal"):
        if one[label] is not None:
            yield label.replace("_", " ").capitalize(), one[label]
    if one["interrupted_by"] is not None:
        yield "Interrupted", _interruption(one)


def _interruption(one: Mapping[str, Any]) -> str:
    after = one["returned_after"]
    if not isinstance(after, int | float):
        return str(one["interrupted_by"])
    return f"{one['interrupted_by']}; the function ended {format_duration(after)} later"


def _figures(one: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    if one["wall_time"] is not None:
        yield "Wall time", number(one["wall_time"], format_duration)
    if one["cpu_time"] is not None:
        yield "CPU time", number(one["cpu_time"], format_duration)
    if one["peak_rss"] is not None:
        yield "Peak memory", number(one["peak_rss"], format_size)
    if one["killed"]:
        yield "Killed", f"{one['killed']} process{'' if one['killed'] == 1 else 'es'}"
    if one["late"] is not None:
        yield "Kill was late by", number(one["late"], format_duration)


def _end_of_output(found: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    lines = str(one["output"]).rstrip("\n").split("\n")
    if len(lines) <= _OUTPUT_LINES:
        return "\n".join(lines)
    which = f" --attempt {one['attempt']}" if one["attempt"] else ""
    hint = f"[the last {_OUTPUT_LINES} of {len(lines)} lines; gigq logs {found['id']}{which}]"
    return "\n".join([hint, *lines[-_OUTPUT_LINES:]])


def _parameters(params: Mapping[str, Any] | str) -> str:
    if isinstance(params, str):
        return f"  {printable(params)}"
    pairs = [(key, _as_json(value)) for key, value in params.items()]
    return fields(pairs, "  ") or "  none"


def _result(result: object) -> str:
    if isinstance(result, dict) and result:
        return _parameters(result)  # a line for each key, as GigQ 0.5.1 did
    return indented(strict_json(result, indent=2), "  ")


def _as_json(value: object) -> str:
    return value if isinstance(value, str) else strict_json(value)
