-- Statements of claims that differ from those of SQLite, each with the reason.

-- There are other writers. A job that another transaction is claiming is skipped. A row that
-- another program has stored since the transaction linked such rows waits for the next claim. The
-- time is read once the row is locked: an earlier one can lie before the end of the last attempt,
-- which another transaction has recorded since this one began.
-- name: claim_from_queue
UPDATE jobs
SET status = 'running', attempts = attempts + 1,
    (started_at, updated_at) = (SELECT at, at FROM (SELECT gigq_now() AS at) AS claimed),
    worker_id = :worker_id, execution_id = :execution_id,
    due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
WHERE rowid = (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = :queue
        AND (expires_at IS NULL OR expires_at > gigq_now())
        AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
        AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
    ORDER BY priority DESC, created_at, id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING *, rowid AS row;

-- The queues in the order of their best jobs; the first of them with a job that is not locked. No
-- other job is locked, which another worker would not find then.
-- name: claim_from_queues
WITH heads AS MATERIALIZED (
    SELECT named.value AS queue
    FROM json_each(:queues) AS named
    CROSS JOIN LATERAL (
        SELECT priority, created_at, id FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
            AND (expires_at IS NULL OR expires_at > gigq_now())
            AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
            AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
        ORDER BY priority DESC, created_at, id
        LIMIT 1
    ) AS head
    ORDER BY head.priority DESC, head.created_at, head.id
),
{claim_from_heads};

-- name: claim_from_every_queue
WITH RECURSIVE {named_queues},
heads AS MATERIALIZED (
    SELECT named.queue
    FROM named
    CROSS JOIN LATERAL (
        SELECT priority, created_at, id FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.queue
            AND (expires_at IS NULL OR expires_at > gigq_now())
            AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
            AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
        ORDER BY priority DESC, created_at, id
        LIMIT 1
    ) AS head
    WHERE named.queue NOT IN (SELECT value FROM json_each(:excluded))
    ORDER BY head.priority DESC, head.created_at, head.id
),
{claim_from_heads};

-- Conditions and orders are such that the server uses a partial index for any statistics, and also when
-- it plans without the values of the parameters. It would read all finished jobs otherwise.
-- name: needs_before_claim
SELECT
    EXISTS (
        SELECT 1 FROM jobs
        WHERE linked = 0 AND status = 'pending'
            AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL)
    ) AS unlinked,
    EXISTS (SELECT 1 FROM gigq_pauses) AS paused,
    (
        SELECT min(expires_at) FROM jobs WHERE status = 'pending' AND expires_at IS NOT NULL
    ) <= :now AS expired,
    (
        SELECT min(retry_after) FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    ) <= :now AS promotable;

-- name: due_up_to
SELECT count(*) AS due
FROM (
    SELECT 1
    FROM json_each(:queues) AS named
    CROSS JOIN LATERAL (
        SELECT 1 FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
        ORDER BY priority DESC, created_at, id
        LIMIT :limit
    ) AS of_queue
    LIMIT :limit
) AS found;

-- name: due_in_every_queue
WITH RECURSIVE {named_queues},
served AS MATERIALIZED (
    SELECT queue FROM named
    WHERE queue IS NOT NULL AND queue NOT IN (SELECT value FROM json_each(:excluded))
)
SELECT
    (SELECT coalesce(json_agg(queue), '[]')::text FROM served) AS queues,
    (
        SELECT count(*) FROM (
            SELECT 1 FROM served
            CROSS JOIN LATERAL (
                SELECT 1 FROM jobs
                WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
                    AND queue = served.queue
                ORDER BY priority DESC, created_at, id
                LIMIT :limit
            ) AS of_queue
            LIMIT :limit
        ) AS found
    ) AS due;

-- name: anything_due_in_queues
SELECT 1 AS due
FROM json_each(:queues) AS named
CROSS JOIN LATERAL (
    SELECT 1 FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
    ORDER BY priority DESC, created_at, id
    LIMIT 1
) AS of_queue
LIMIT 1;

-- Some more of each queue than are taken, because others may be claiming the first ones. An array,
-- since the server expects few values in one. The joined text, since the server would read all due
-- jobs for the same condition as that of `jobs_due` while its statistics know none.
-- name: best_due
SELECT rowid AS row, id, name, queue, attempts, max_attempts, timeout, memory_limit, retry_policy,
    pass_parent_results, dependencies, params, function_module, function_name, function_file
FROM jobs
WHERE rowid = ANY (ARRAY(
        SELECT head.rowid
        FROM json_each(:queues) AS named
        CROSS JOIN LATERAL (
            SELECT rowid FROM jobs
            WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
                AND (expires_at IS NULL OR expires_at > gigq_now())
                AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
                AND (needs_schema IS NULL OR needs_schema <= {knows})
            ORDER BY priority DESC, created_at, id
            LIMIT 4 * :limit
        ) AS head
    ))
    AND status || '' = 'pending' AND unmet = 0 AND retry_after IS NULL
ORDER BY priority DESC, created_at, id
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- The same for one queue, in the order of the index: it reads no more jobs than it locks, and the
-- locked ones of others.
-- name: best_due_in_queue
SELECT rowid AS row, id, name, queue, attempts, max_attempts, timeout, memory_limit, retry_policy,
    pass_parent_results, dependencies, params, function_module, function_name, function_file
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = :queue
    AND (expires_at IS NULL OR expires_at > gigq_now())
    AND (linked <> 0 OR (dependencies = '[]' AND expires_at IS NULL))
    AND (needs_schema IS NULL OR needs_schema <= {knows})
ORDER BY priority DESC, created_at, id
LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- `max` of two values is an aggregate. Others may promote the same jobs. An array, since the server
-- may repeat a subquery of IN, with other jobs each time, and exceed the limit.
-- name: promote_delayed
UPDATE jobs
SET retry_after = NULL, due_at = greatest(retry_after, coalesce(due_at, retry_after)),
    due_why = coalesce(due_why, 'delay')
WHERE rowid = ANY (ARRAY(
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after <= :now
    ORDER BY retry_after
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
));

-- The time is that of the statement: the jobs were locked before, and the last attempt of each is
-- over. An execution that foreign SQL left open stays, and the job gets no other one here.
-- name: open_and_claim
WITH at AS MATERIALIZED (SELECT gigq_now() AS now),
chosen AS MATERIALIZED (
    SELECT * FROM unnest(:numbers::bigint[], :executions::text[]) AS chosen (row, execution_id)
),
claimed AS (
    UPDATE jobs
    SET status = 'running', attempts = attempts + 1, started_at = at.now, updated_at = at.now,
        worker_id = :worker_id, execution_id = chosen.execution_id,
        due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
    FROM chosen
    CROSS JOIN at
    WHERE jobs.rowid = chosen.row
    RETURNING jobs.id, jobs.execution_id, attempts, due_at, due_why
),
opened AS (
    INSERT INTO job_executions (
        id, job_id, worker_id, status, started_at, attempt, run, due_at, due_why
    )
    SELECT execution_id, id, :worker_id, 'running', at.now, attempts, :run,
        CASE WHEN due_at LIKE '%+00:00' AND due_at < at.now THEN due_at ELSE at.now END, due_why
    FROM claimed
    CROSS JOIN at
    ON CONFLICT (job_id) WHERE status = 'running' DO NOTHING
    RETURNING 1
)
SELECT at.now, (SELECT count(*) FROM opened) AS opened FROM at;

-- name: supersede_others_of_claimed
UPDATE job_executions
SET status = 'failed', completed_at = :now, cause = 'lost',
    note = 'superseded: its job had been taken away from it and was started again'
FROM jobs
WHERE jobs.rowid = ANY (:numbers::bigint[]) AND job_executions.job_id = jobs.id
    AND job_executions.status = 'running' AND job_executions.id <> jobs.execution_id;

-- Those that are open already stay as they are.
-- name: open_executions_of_claimed
INSERT INTO job_executions (
    id, job_id, worker_id, status, started_at, attempt, run, due_at, due_why
)
SELECT execution_id, id, worker_id, 'running', started_at, attempts, :run,
    CASE WHEN due_at LIKE '%+00:00' AND due_at < started_at THEN due_at ELSE started_at END, due_why
FROM jobs
WHERE rowid = ANY (:numbers::bigint[])
ON CONFLICT (job_id) WHERE status = 'running' DO NOTHING;
