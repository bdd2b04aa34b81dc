"""The commands `gigq pause` and `gigq resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes
from gigq.cli.answers import answer
from gigq.cli.errors import OptionsError
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.served_queues import EVERY
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAUSE = """\
No daemon and no worker starts a job of a paused queue, on any host. Running
jobs go on. The pause is stored: a restart does not end it. Without a name every
queue is paused."""
_RESUME = """\
Without a name every pause ends. A pause of every queue ends only so."""
_NO_JOB = " It has no job yet; gigq stats --by queue lists the queues with one."


def add_command(commands: Commands) -> None:
    """Add the parsers of both commands."""
    for name, handler, what, details in (
        ("pause", pause, "start no more jobs of queues", _PAUSE),
        ("resume", resume, "start jobs of paused queues again", _RESUME),
    ):
        example = f"gigq {name} mail"
        parser = add_parser(commands, name, handler, what, example=example, details=details)
        parser.add_argument("queues", metavar="QUEUE", nargs="*", help="a named queue")
        add_json(parser)


def pause(args: Namespace) -> int:
    """Pause queues."""
    with existing_queue(args) as queue:
        done, paused = _changed(queue.pause, args.queues), queue.paused()
        empty = {name for name in args.queues if not queue.list_jobs(limit=1, queue=name)}
    sentences = [
        f"{_named(name)} is paused{'' if name in done else ' already'}: no worker starts its jobs "
        f"until gigq resume; running jobs go on.{_NO_JOB if name in empty else ''}"
        for name in args.queues or [EVERY]
    ]
    answer(args, {"paused": paused}, "\n".join(sentences))
    return exit_codes.OK


def resume(args: Namespace) -> int:
    """End pauses of queues."""
    with existing_queue(args) as queue:
        done, paused = _changed(queue.resume, args.queues), queue.paused()
    rest = " Every queue is still paused: gigq resume ends that." if EVERY in paused else ""
    sentences = [
        f"{_named(name)} {'is resumed' if name in done else 'was not paused'}.{rest}"
        for name in args.queues or done
    ]
    answer(args, {"paused": paused}, "\n".join(sentences) or "No queue was paused.")
    return exit_codes.OK


def _changed(change: Callable[[list[str] | None], list[str]], names: Sequence[str]) -> list[str]:
    try:
        return change(list(names) or None)
    except ValueError as error:
        raise OptionsError(str(error)) from error


def _named(name: str) -> str:
    return "Every queue" if name == EVERY else f"Queue {printable(name)}"
