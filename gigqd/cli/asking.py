"""status, pause and resume: what a running daemon is asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd import exits, pidfile
from gigqd.cli.describing import describe
from gigqd.cli.places import instance_of
from gigqd.cli.terminal import say, say_json, width
from gigqd.cli.told import Told
from gigqd.client import Client, NotAnswering, NotRunning, understand
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    import argparse

    from gigqd.instance import Instance

STATUS_WITHIN = 0.8
"""Seconds: with the start of the command itself, the answer is there within one."""


def status(options: argparse.Namespace) -> int:
    """Show the daemon; the exit code is what the LSB wants of an init script's status."""
    try:
        instance = instance_of(options)
    except GigqdError as error:
        return _tell_unknown(None, error, as_json=options.json)
    try:
        answer = Client(instance).ask("status", within=options.timeout)
        text = understand(lambda answer: describe(answer, width()), answer)
    except NotRunning:
        return _tell_not_running(instance, as_json=options.json)
    except GigqdError as error:
        return _tell_unknown(instance, error, as_json=options.json)
    if options.json:
        say_json(answer)
    else:
        say(text)
    return exits.OK


def pause(options: argparse.Namespace) -> int:
    """Have the daemon start no more jobs; asking again changes nothing."""
    text = "gigqd is paused: it starts no jobs until `gigqd resume`; running ones go on"
    return _ask_for("pause", options, text)


def resume(options: argparse.Namespace) -> int:
    """Have the daemon start jobs again; asking one that is not paused changes nothing."""
    return _ask_for("resume", options, "gigqd starts jobs again")


def _ask_for(command: str, options: argparse.Namespace, text: str) -> int:
    answer = Client(instance_of(options)).ask(command, within=options.timeout)
    if not answer["ok"]:
        refused = Told(answer["code"], f"{command} refused: {answer['error']}")
        return refused.tell(as_json=options.json)
    paused = {"paused": bool(answer.get("paused"))}
    return Told(exits.OK, text, paused).tell(as_json=options.json)


def _tell_not_running(instance: Instance, *, as_json: bool) -> int:
    left = os.path.lexists(instance.pid_path)
    pid = pidfile.read(instance.pid_path)
    code = exits.STATUS_STALE if left else exits.STATUS_STOPPED
    if as_json:
        state = "dead" if left else "stopped"
        say_json({"ok": False, "code": code, "state": state, "stale_pid": pid})
    elif left:
        who = f" (pid {pid})" if pid else ""
        say(f"gigqd is not running, but its pid file is left{who}: {instance.pid_path}")
    else:
        say("gigqd is not running")
    return code


def _tell_unknown(instance: Instance | None, error: GigqdError, *, as_json: bool) -> int:
    code = exits.STATUS_UNKNOWN
    if as_json:
        known = instance.running() if instance and isinstance(error, NotAnswering) else None
        facts = {"state": "not answering", "pid": known.pid if known else None}
        say_json({"ok": False, "code": code, "error": str(error), **facts})
    else:
        say(f"gigqd: {error}")
    return code
