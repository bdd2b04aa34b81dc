"""A worker with four statements: claim a batch, open and close its executions, complete it."""

import os
import time

import psycopg

from bench import work
from bench.floors import NOW

BATCH = 64
POLL_SECONDS = 0.005

CLAIM = """
UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = %(now)s,
    updated_at = %(now)s, worker_id = 'w', execution_id = 'x' || jobs.id
FROM (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = 'default'
    ORDER BY priority DESC, created_at, id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
) AS best
WHERE jobs.rowid = best.rowid
RETURNING jobs.id, jobs.name
"""
OPEN = """
INSERT INTO job_executions (id, job_id, worker_id, status, started_at, attempt)
SELECT 'x' || id, id, 'w', 'running', %s, 1 FROM unnest(%s::text[]) AS id
"""
CLOSE = """
UPDATE job_executions SET status = 'completed', completed_at = %s
WHERE id IN (SELECT 'x' || id FROM unnest(%s::text[]) AS id)
"""
DONE = """
UPDATE jobs SET status = 'completed', result = 'null', completed_at = %(now)s,
    updated_at = %(now)s, worker_id = NULL
WHERE id = ANY (%(ids)s) AND status = 'running'
"""


def main() -> None:
    """Settle the last batch and claim the next in one transaction, until killed."""
    held: list[str] = []
    with psycopg.connect(os.environ["BENCH_ADDRESS"], autocommit=True) as connection:
        while True:
            with connection.transaction():
                if held:
                    connection.execute(CLOSE, (NOW, held))
                    connection.execute(DONE, {"now": NOW, "ids": held})
                rows = connection.execute(CLAIM, {"now": NOW, "batch": BATCH}).fetchall()
                held = [id_ for id_, _ in rows]
                if held:
                    connection.execute(OPEN, (NOW, held))
            for _, name in rows:
                work.FUNCTIONS[name]()
            if not held:
                time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
