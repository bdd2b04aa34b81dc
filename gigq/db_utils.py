"""The connection helpers under the module name that GigQ 0.5.1 has for them."""

from gigq.store.sqlite.connections import close_connection, close_connections
from gigq.store.sqlite.connections import open_connection as get_connection

__all__ = ["close_connection", "close_connections", "get_connection"]
