"""Commands of the control socket: `status`, `stop`, `reload`, `pause` and `resume`."""

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
    from gigqd.supervisor.daemon_status import DaemonStatus
    from gigqd.supervisor.reload import Reply
    from gigqd.supervisor.shutdown import Stop


class Actions(Protocol):
    """Methods that the commands call; the supervisor implements them."""

    def status(self) -> dict[str, Any]:
        """Return the answer to `gigqd status`."""

    def pause(self, *, on: bool) -> None:
        """Suspend claims, or resume them."""

    def reload(self, reply: Reply) -> None:
        """Reload the configuration; the answer to `gigqd reload` is passed to `reply`."""

    def begin_stop(self, *, at_once: bool = False) -> Stop:
        """Begin a stop, or cut short the one that has begun."""


class Commands:
    """Passes commands to the supervisor, and keeps the clients that wait for the end of a stop."""

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
        checked = {name: partial(self._if_for_this_daemon, call) for name, call in commands.items()}
        self._server = ControlServer(runtime_files.socket_path, selector, checked)

    def repair(self) -> tuple[str, ...]:
        """Create the control socket again when it was deleted; return its name then.

        Raises:
            OSError: it cannot be made again.
        """
        self._announcement.renew()
        return self._server.repair()

    def flush(self) -> bool:
        """Write changes of the announcement, and send queued answers.

        Returns:
            True when some answers are still queued.
        """
        self._announcement.step()
        return self._server.flush()

    def close(self, summary: dict[str, Any] | None) -> None:
        """Send the summary to the clients that wait for the stop, and accept no more commands."""
        self._announcement.withdraw()
        for client in self._waiting_for_stop:
            client.answer(
                summary
                or {"ok": False, "error": "the daemon failed", "code": exit_codes.INTERNAL_ERROR}
            )
        self._server.close()

    def _if_for_this_daemon(self, call: Command, client: Client, request: dict[str, Any]) -> None:
        """Run a command, or refuse it when it is meant for another daemon."""
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
