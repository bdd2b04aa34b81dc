"""status and reload: what a running daemon is asked."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from gigqd import exits, pidfile
from gigqd.cli.describing import describe
from gigqd.cli.places import place_of
from gigqd.cli.terminal import complain, say, say_json
from gigqd.client import Client, NotAnswering, NotRunning
from gigqd.config import locate
from gigqd.errors import GigqdError
from gigqd.instance import Instance

if TYPE_CHECKING:
    import argparse

_RELOAD_WITHIN = 30.0
_LOOK = 0.05
_COMING_UP = ("empty", "booting", "backoff", "draining")


def status(options: argparse.Namespace) -> int:
    """Show the daemon; the exit code is what the LSB wants of an init script's status."""
    instance = Instance(place_of(options))
    try:
        answer = Client(instance).ask("status")
    except NotRunning:
        return _tell_not_running(instance, as_json=options.json)
    except GigqdError as error:
        return _tell_unknown(instance, error, as_json=options.json)
    if options.json:
        say_json(answer)
    else:
        say(describe(answer))
    return exits.OK


def reload(options: argparse.Namespace) -> int:
    """Have the daemon take the configuration that is on disk, or say why it does not."""
    client = Client(Instance(locate(options.config, os.environ)))
    answer = client.ask("reload", within=_RELOAD_WITHIN)
    if not answer["ok"]:
        complain(f"gigqd: reload refused, nothing has changed:\n{answer['error']}")
        return int(answer["code"])
    say(_taken(answer))
    return _wait_for_workers(client, options.wait) if options.wait else exits.OK


# --- status ----------------------------------------------------------------------------------


def _tell_not_running(instance: Instance, *, as_json: bool) -> int:
    left = instance.pid_path.exists()
    note = pidfile.read(instance.pid_path)
    pid = note.pid if note else None
    if as_json:
        say_json({"ok": False, "state": "dead" if left else "stopped", "stale_pid": pid})
    elif left:
        who = f" (pid {pid})" if pid else ""
        say(f"gigqd is not running, but its pid file is left{who}: {instance.pid_path}")
    else:
        say("gigqd is not running")
    return exits.STATUS_STALE if left else exits.STATUS_STOPPED


def _tell_unknown(instance: Instance, error: GigqdError, *, as_json: bool) -> int:
    if as_json:
        known = instance.running() if isinstance(error, NotAnswering) else None
        pid = known.pid if known else None
        say_json({"ok": False, "state": "not answering", "pid": pid, "error": str(error)})
    else:
        say(f"gigqd: {error}")
    return exits.STATUS_UNKNOWN


# --- reload ----------------------------------------------------------------------------------


def _taken(answer: dict[str, Any]) -> str:
    titles = {
        "applied": "applied at once",
        "recycled": "applied by new workers",
        "restart": "needs `gigqd restart`",
    }
    lines = [f"{text}: {', '.join(answer[key])}" for key, text in titles.items() if answer[key]]
    return "\n".join(["gigqd reloaded" if lines else "gigqd reloaded: no key has changed", *lines])


def _wait_for_workers(client: Client, within: float) -> int:
    """Wait until every worker that is not finishing a job of its own is a new one."""
    deadline = time.monotonic() + within
    while True:
        answer = client.ask("status")
        slots = [slot for slot in answer["slots"] if slot["role"] == "worker"]
        if answer["reason"] and any(slot["state"] == "backoff" for slot in slots):
            complain(f"gigqd: the new workers do not come up: {answer['reason']}")
            return exits.INTERNAL_ERROR
        if not any(slot["state"] in _COMING_UP and not slot["job_id"] for slot in slots):
            return exits.OK
        if time.monotonic() > deadline:
            complain(f"gigqd: not all workers are up after {within:g} s")
            return exits.FAILED
        time.sleep(_LOOK)
