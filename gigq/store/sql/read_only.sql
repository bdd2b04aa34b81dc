-- Read-only queries about a whole queue, for gigq backup and gigq doctor, for every dialect. They are
-- not part of a store.
-- name: number_of_jobs
SELECT count(*) FROM jobs;

-- name: number_of_executions
SELECT count(*) FROM job_executions;

-- name: number_of_edges
SELECT count(*) FROM job_dependencies;

-- The first jobs of each queue and priority only: skipping from one priority to the next costs the
-- same for queues of any length. They are the oldest, and the first may have become due just now.
-- name: longest_due
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
SELECT first.queue, min(coalesce(jobs.due_at, jobs.updated_at)) AS since
FROM first
JOIN jobs ON jobs.rowid IN (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
        AND queue = first.queue AND priority = first.priority
    ORDER BY created_at
    LIMIT 20
)
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
