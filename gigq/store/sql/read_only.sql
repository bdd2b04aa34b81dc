-- Read-only queries about a whole file, for gigq backup and gigq doctor. They are always SQLite's
-- and not part of a store.
-- name: number_of_jobs
SELECT count(*) FROM jobs;

-- name: number_of_executions
SELECT count(*) FROM job_executions;

-- name: number_of_edges
SELECT count(*) FROM job_dependencies;

-- By narrow indexes only. The first job of each queue and priority is the oldest: skipping from one
-- to the next costs the same for queues of any length.
-- name: oldest_due
WITH RECURSIVE first (row, queue, priority) AS (
    SELECT rowid, queue, priority FROM jobs
    WHERE rowid = (
        SELECT rowid FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
        ORDER BY queue, priority DESC, created_at
        LIMIT 1
    )
    UNION ALL
    SELECT jobs.rowid, jobs.queue, jobs.priority
    FROM first
    JOIN jobs ON jobs.rowid = coalesce(
        (
            SELECT rowid FROM jobs
            WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
                AND queue = first.queue AND priority < first.priority
            ORDER BY priority DESC, created_at
            LIMIT 1
        ),
        (
            SELECT rowid FROM jobs
            WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
                AND queue > first.queue
            ORDER BY queue, priority DESC, created_at
            LIMIT 1
        )
    )
)
SELECT first.queue, min(jobs.created_at) AS oldest
FROM first
JOIN jobs ON jobs.rowid = first.row
GROUP BY first.queue;

-- name: number_of_due
SELECT count(*) FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL;

-- name: number_of_delayed
SELECT count(*) FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL;

-- name: overdue_since
SELECT min(retry_after) FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after <= :now;

-- name: number_of_dependents
SELECT count(DISTINCT job_id) FROM job_dependencies;
