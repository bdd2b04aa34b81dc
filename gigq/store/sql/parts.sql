-- Parts of statements. A statement has the name of a part in braces.

-- The names of the queues with due jobs, and NULL last, by skipping from name to name in the index:
-- the cost grows with the number of queues, not with their length.
-- name: named_queues
named (queue) AS (
    SELECT min(queue) FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
    UNION ALL
    SELECT (
        SELECT min(queue) FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue > named.queue
    )
    FROM named
    WHERE named.queue IS NOT NULL
)

-- On PostgreSQL: the claim of the best job that is not locked in the queues of `heads`.
-- name: claim_from_heads
best AS MATERIALIZED (
    SELECT free.rowid
    FROM heads
    CROSS JOIN LATERAL (
        SELECT rowid FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = heads.queue
            AND (expires_at IS NULL OR expires_at > gigq_now())
            AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
            AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
        ORDER BY priority DESC, created_at, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS free
    LIMIT 1
)
UPDATE jobs
SET status = 'running', attempts = attempts + 1,
    (started_at, updated_at) = (SELECT at, at FROM (SELECT gigq_now() AS at) AS claimed),
    worker_id = :worker_id, execution_id = :execution_id,
    due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
WHERE rowid = (SELECT rowid FROM best)
RETURNING *, rowid AS row

-- The condition of a claim that leaves functions out, as `module:name` or `path:name`.
-- name: of_known
AND coalesce(function_file, function_module) || ':' || function_name NOT IN (
    SELECT value FROM json_each(:unknown)
)
