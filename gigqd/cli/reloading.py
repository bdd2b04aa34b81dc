"""reload: have the daemon take what is on disk, and wait for it as long as one wants to."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigqd import exits
from gigqd.cli.describing import job_of
from gigqd.cli.places import file_of_other, instance_of, its_file
from gigqd.cli.told import Told
from gigqd.cli.trying import try_database
from gigqd.client import Client, NotAnswering, understand
from gigqd.config import config_path, load
from gigqd.errors import ConfigError, GigqdError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gigqd.instance import Instance

_LOOK = 0.05
_REWRITTEN_WITHIN = 2.0
_TITLES = {
    "applied": "applied at once",
    "recycled": "applied by new workers",
    "restart": "needs `gigqd restart`",
}


def reload(options: argparse.Namespace) -> int:
    """Have the daemon take the configuration that is on disk, or say why it does not."""
    instance = _instance(options)
    client, other = Client(instance), file_of_other(instance, options)
    deadline = time.monotonic() + options.timeout
    try:
        answer = client.ask("reload", within=options.timeout)
    except NotAnswering as error:
        return _judge_silence(client, error, options).tell(as_json=options.json)
    if not answer["ok"]:
        text = f"reload refused, nothing has changed:\n{answer['error']}{_note(other)}"
        return Told(answer["code"], text).tell(as_json=options.json)
    text = understand(_taken, answer) + _note(other) + _unusable_database(answer, options)
    told = Told(exits.OK, text, _facts(answer))
    if options.wait:
        told = _wait_for_workers(client, told, deadline, options.timeout)
    return told.tell(as_json=options.json)


def _instance(options: argparse.Namespace) -> Instance:
    """Return the daemon that is meant; a file that is just being rewritten is read again.

    Raises:
        ConfigError: as `instance_of`.
    """
    deadline = time.monotonic() + _REWRITTEN_WITHIN
    while True:
        try:
            return instance_of(options)
        except ConfigError:
            if time.monotonic() >= deadline or not _was_just_changed(options):
                raise
        time.sleep(_LOOK)


def _was_just_changed(options: argparse.Namespace) -> bool:
    path = options.config or config_path(os.environ)
    try:
        return path is not None and time.time() - path.stat().st_mtime < _REWRITTEN_WITHIN
    except OSError:
        return False


def _note(other: str | None) -> str:
    return f"\n{its_file(other)}; `gigqd restart` has it run this one" if other else ""


def _unusable_database(answer: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Return a warning when the file names a database which the next start would refuse."""
    if options.runtime_dir is not None or "queue.database" not in answer["restart"]:
        return ""
    with suppress(GigqdError):
        found = try_database(load(options.config, os.environ))
        return f"\nwarning: a restart would be refused: {found['text']}" if found["code"] else ""
    return ""


def _judge_silence(client: Client, error: NotAnswering, options: argparse.Namespace) -> Told:
    """Whether the daemon still tries the new configuration, or does nothing at all."""
    try:
        client.ask("status", within=1.0)
    except NotAnswering:
        return Told(error.exit_code, f"{error}; the daemon drops the request, try again")
    text = (
        f"a worker with the new configuration is not up after {options.timeout:g} s; the daemon "
        "goes on trying it, and the log tells how that ends"
    )
    return Told(exits.FAILED, text)


def _facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: answer.get(key) for key in ("generation", *_TITLES)}


def _taken(answer: Mapping[str, Any]) -> str:
    lines = [f"{text}: {', '.join(answer[key])}" for key, text in _TITLES.items() if answer[key]]
    return "\n".join(
        ["gigqd reloaded" if lines else "gigqd reloaded: code reloaded, no key changed", *lines]
    )


# --- waiting for the workers -----------------------------------------------------------------


def _wait_for_workers(client: Client, told: Told, deadline: float, timeout: float) -> Told:
    """Wait until every worker has the new configuration and is up."""
    generation = told.facts["generation"]
    while True:
        status = client.ask("status")
        left = understand(lambda answer: _not_yet(answer, generation), status)
        if status.get("reason") and any(slot["state"] == "backoff" for slot in left):
            text = f"reloaded, but the new workers do not come up: {status['reason']}"
            return Told(exits.INTERNAL_ERROR, text, told.facts)
        if not left:
            return told
        if time.monotonic() > deadline:
            return _too_late(left, told, timeout)
        time.sleep(_LOOK)


def _not_yet(status: Mapping[str, Any], generation: int) -> list[Mapping[str, Any]]:
    """The slots whose worker is an old one, or not up yet."""
    workers = [slot for slot in status["slots"] if slot["role"] == "worker"]
    return [
        slot
        for slot in workers
        if (slot.get("configuration") or 0) < generation or slot["state"] == "booting"
    ]


def _too_late(left: list[Mapping[str, Any]], told: Told, timeout: float) -> Told:
    slots = ", ".join(f"{slot['slot']} ({slot['state']}, {job_of(slot)})" for slot in left)
    text = (
        f"reloaded, but after {timeout:g} s these still have the old configuration: {slots}; "
        "each is replaced after its job"
    )
    return Told(exits.FAILED, text, {**told.facts, "old": [slot["slot"] for slot in left]})
