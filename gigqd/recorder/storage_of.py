"""The choice of the storage for a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigqd.recorder.file_storage import FileStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.ipc.json_socket import JsonSocket
    from gigqd.process.spawn import ChildContext
    from gigqd.recorder.storage import Storage


def storage_of(
    context: ChildContext, json_socket: JsonSocket, heartbeat: Callable[[], None], *, is_there: bool
) -> Storage:
    """Return the storage of a configuration.

    Args:
        context: the context of the recorder, with the configuration.
        json_socket: the socket to the supervisor.
        heartbeat: called every few milliseconds while a file is read.
        is_there: True when an earlier recorder of this daemon has opened the database.
    """
    config = context.config
    if config.database_file:
        durable = config.queue.durability == "full"
        path = str(config.database_file)
        return FileStorage(path, json_socket, heartbeat, durable=durable, is_there=is_there)
    from gigqd.recorder.requested_output import RequestedOutput
    from gigqd.recorder.server_storage import ServerStorage

    address, place = config.queue.database, str(config.place)
    storage = ServerStorage(address, place, json_socket, is_there=is_there)
    storage.requested_output = RequestedOutput(
        storage.database, context.tag.run, config.keep_output_of, context.cell.all_reports
    )
    return storage
