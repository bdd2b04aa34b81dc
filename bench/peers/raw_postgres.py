"""What no queue on this server can beat: psycopg with gigq's tables and the statements of a job."""

from __future__ import annotations

from bench import floors
from bench.protocol import Peer, Place, Pool

PEER = Peer(
    name="raw_postgres",
    title="raw psycopg (floor)",
    requires=(),
    durable="yes, synchronous_commit=on",
    settings="gigq's tables; COPY; the benchmark's own processes claim and settle in batches of 64",
    server="postgres",
    pace=20_000,
    bulk=30_000,
)

INSERT = (
    "INSERT INTO jobs (id, name, queue, priority, created_at, updated_at, max_attempts, timeout,"
    " function_module, function_name, params)"
    " VALUES (%s, %s, 'default', 0, %s, %s, 3, 300, 'bench.work', 'noop', '{}')"
)
COPY = (
    "COPY jobs (id, name, queue, priority, created_at, updated_at, max_attempts, timeout,"
    " function_module, function_name, params) FROM STDIN"
)


def adapter(place: Place) -> Raw:
    """The adapter of a server."""
    return Raw(place)


class Raw(Pool):
    """A database and worker processes."""

    def prepare(self) -> None:
        """Make the tables, which are gigq's."""
        import psycopg

        from gigq import JobQueue

        JobQueue(self.place.url).close()
        self.connection = psycopg.connect(self.place.url, autocommit=True)
        self.submitted = 0

    def start(self, workers: int) -> list[int]:
        """One process each."""
        command = ("-m", "bench.apps.raw_postgres_worker")
        return [self.run(*command) for _ in range(workers)]

    def submit(self, kind: str) -> None:
        """One row."""
        self.connection.execute(INSERT, (self.next_id(), kind, floors.NOW, floors.NOW))

    def submit_many(self, kind: str, count: int) -> None:
        """In one COPY."""
        job = ("default", 0, floors.NOW, floors.NOW, 3, 300, "bench.work", "noop", "{}")
        with self.connection.cursor() as cursor, cursor.copy(COPY) as copy:
            for _ in range(count):
                copy.write_row((self.next_id(), kind, *job))

    def next_id(self) -> str:
        """An id after all others."""
        self.submitted += 1
        return f"{self.submitted:032x}"
