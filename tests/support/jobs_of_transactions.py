"""Jobs that leave a transaction open on the connection of their worker."""

from support.calls import noted

from gigq import JobQueue


def begin(ledger: str, job: str, address: str) -> None:
    """Leave a transaction open."""
    with noted(ledger, job):
        JobQueue(address, initialize=False)._get_connection().execute("BEGIN")
