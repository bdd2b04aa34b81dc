"""The desk: what the commands ask of a running daemon, who waits, and what all may read."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gigqd import exit_codes
from gigqd.host.announcement import Announcement
from gigqd.host.identity import Identity, identity_from
from gigqd.ipc.control_socket import ControlServer

if TYPE_CHECKING:
    import selectors

    from gigqd.host.runtime_files import RuntimeFiles
    from gigqd.ipc.control_clients import Client
    from gigqd.ipc.control_socket import Command
    from gigqd.supervisor.reload import Reply
    from gigqd.supervisor.shutdown import Stop
    from gigqd.supervisor.status import DaemonStatus


class Actions(Protocol):
    """Whom the desk asks: the supervisor."""

    def status(self) -> dict[str, Any]:
        """The answer to `gigqd status`."""

    def pause(self, *, on: bool) -> None:
        """Have no job claimed, or let them be claimed again."""

    def reload(self, reply: Reply) -> None:
        """Take the configuration anew; the answer to `gigqd reload` comes by `reply`."""

    def begin_stop(self, *, at_once: bool = False) -> Stop:
        """Begin a stop, or hurry the one under way."""


class Commands:
    """Passes commands on, and keeps those waiting who asked for an answer at the end."""

    def __init__(
        self,
        runtime_files: RuntimeFiles,
        selector: selectors.BaseSelector,
        actions: Actions,
        status: DaemonStatus,
    ) -> None:
        self._identity = runtime_files.identity
        self._actions = actions
        self._announcement = Announcement(status)
        self._waiting_for_stop: list[Client] = []
        commands = {
            "status": self._status,
            "stop": self._stop,
            "reload": self._reload,
            "pause": self._pause,
            "resume": self._resume,
        }
        checked = {name: partial(self._if_meant, call) for name, call in commands.items()}
        self._server = ControlServer(runtime_files.socket_path, selector, checked)

    def repair(self) -> tuple[str, ...]:
        """Put the control socket back when it is gone; its name if it was.

        Raises:
            OSError: it cannot be made again.
        """
        self._announcement.renew()
        return self._server.repair()

    def flush(self) -> bool:
        """Announce what has changed, and send on what clients were too slow for.

        Returns:
            Whether something is still unsent.
        """
        self._announcement.step()
        return self._server.flush()

    def close(self, summary: dict[str, Any] | None) -> None:
        """Tell those who wait for the stop how it went, and take no more commands."""
        self._announcement.withdraw()
        for client in self._waiting_for_stop:
            client.answer(
                summary
                or {"ok": False, "error": "the daemon failed", "code": exit_codes.INTERNAL_ERROR}
            )
        self._server.close()

    def _if_meant(self, call: Command, client: Client, request: dict[str, Any]) -> None:
        """Pass a command on, or refuse it when it is meant for another daemon."""
        refusal = self._refusal(request)
        if refusal is None:
            call(client, request)
        else:
            client.answer({"ok": False, "error": refusal, "code": exit_codes.ALREADY_RUNNING})

    def _refusal(self, request: dict[str, Any]) -> str | None:
        if "for" not in request or self._identity is None:
            return None
        meant: object = "something else"
        with suppress(LookupError, TypeError, ValueError):
            meant = identity_from(request["for"])
        if isinstance(meant, Identity) and self._identity.is_that_of(meant):
            return None
        return f"the gigqd that runs here is {self._identity}, and the command is for {meant}"

    def _status(self, client: Client, _request: dict[str, Any]) -> None:
        client.answer(self._actions.status())

    def _stop(self, client: Client, request: dict[str, Any]) -> None:
        self._waiting_for_stop.append(client)
        self._actions.begin_stop(at_once=bool(request.get("now")))

    def _reload(self, client: Client, _request: dict[str, Any]) -> None:
        self._actions.reload(client.answer)

    def _pause(self, client: Client, _request: dict[str, Any]) -> None:
        self._actions.pause(on=True)
        client.answer({"ok": True, "paused": True})

    def _resume(self, client: Client, _request: dict[str, Any]) -> None:
        self._actions.pause(on=False)
        client.answer({"ok": True, "paused": False})
