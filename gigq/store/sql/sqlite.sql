-- Statements that differ from other dialects, each with the reason.

-- PRAGMA and sqlite_master exist here only.
-- name: table_names
SELECT name FROM sqlite_master WHERE type = 'table';

-- name: columns_of_jobs
SELECT name FROM pragma_table_info('jobs');

-- The columns are the fields of JobRow, by position: names would cost as much as the insertion.
-- name: insert_job
INSERT INTO jobs ({columns}, linked) VALUES ({values}, 1) ON CONFLICT (id) DO NOTHING;

-- name: insert_edges_of_unlinked
INSERT OR IGNORE INTO job_dependencies (parent_id, job_id)
SELECT parent.id, child.id
FROM json_each(:rows) AS listed
CROSS JOIN jobs AS child ON child.rowid = listed.value
CROSS JOIN json_each(
    CASE WHEN json_valid(child.dependencies) AND typeof(child.dependencies) = 'text'
        THEN child.dependencies ELSE '[]' END
) AS named
CROSS JOIN jobs AS parent ON parent.id = named.value
WHERE parent.status <> 'completed'
    AND NOT (
        child.on_parent_failure = 'run' AND parent.status IN ('failed', 'timeout', 'cancelled')
    );

-- After BEGIN IMMEDIATE there is no other writer, so no row needs to be locked or skipped. SQLite
-- uses a partial index only for a literal predicate, not for a bound value.
-- name: claim_from_queue
UPDATE jobs
SET status = 'running', attempts = attempts + 1, started_at = :now, updated_at = :now,
    worker_id = :worker_id, execution_id = :execution_id,
    due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
WHERE rowid = (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = :queue
        AND (expires_at IS NULL OR expires_at > :now)
        AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
    ORDER BY priority DESC, created_at, id
    LIMIT 1
)
RETURNING *, rowid AS row;

-- The best of each named queue, then the best of those.
-- name: claim_from_queues
UPDATE jobs
SET status = 'running', attempts = attempts + 1, started_at = :now, updated_at = :now,
    worker_id = :worker_id, execution_id = :execution_id,
    due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
WHERE rowid = (
    SELECT best.rowid
    FROM json_each(:queues) AS named
    JOIN jobs AS best ON best.rowid = (
        SELECT rowid FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
            AND (expires_at IS NULL OR expires_at > :now)
            AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
        ORDER BY priority DESC, created_at, id
        LIMIT 1
    )
    ORDER BY best.priority DESC, best.created_at, best.id
    LIMIT 1
)
RETURNING *, rowid AS row;

-- The same for every queue with a due job but the excluded ones.
-- name: claim_from_every_queue
UPDATE jobs
SET status = 'running', attempts = attempts + 1, started_at = :now, updated_at = :now,
    worker_id = :worker_id, execution_id = :execution_id,
    due_at = coalesce(due_at, updated_at), due_why = coalesce(due_why, 'submit')
WHERE rowid = (
    WITH RECURSIVE {named_queues}
    SELECT best.rowid
    FROM named
    JOIN jobs AS best ON best.rowid = (
        SELECT rowid FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.queue
            AND (expires_at IS NULL OR expires_at > :now)
            AND (needs_schema IS NULL OR needs_schema <= {knows}) {of_known}
        ORDER BY priority DESC, created_at, id
        LIMIT 1
    )
    WHERE named.queue NOT IN (SELECT value FROM json_each(:excluded))
    ORDER BY best.priority DESC, best.created_at, best.id
    LIMIT 1
)
RETURNING *, rowid AS row;

-- The columns that a worker needs, as bytes where text is not UTF-8.
-- name: needed_bytes
SELECT CAST(id AS BLOB) AS id, CAST(queue AS BLOB) AS queue, CAST(params AS BLOB) AS params,
    CAST(dependencies AS BLOB) AS dependencies, CAST(function_module AS BLOB) AS function_module,
    CAST(function_name AS BLOB) AS function_name, CAST(function_file AS BLOB) AS function_file
FROM jobs
WHERE rowid = :row;

-- name: delayed_without_time
SELECT rowid AS row, id, name, retry_after
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    AND (retry_after = :earliest OR typeof(retry_after) <> 'text' OR julianday(retry_after) IS NULL)
LIMIT 100;

-- name: best_due
SELECT jobs.rowid AS row, jobs.id, jobs.name, jobs.queue, jobs.attempts, jobs.max_attempts,
    jobs.timeout, jobs.memory_limit, jobs.retry_policy, jobs.pass_parent_results, jobs.dependencies,
    jobs.params,
    jobs.function_module, jobs.function_name, jobs.function_file
FROM json_each(:queues) AS named
JOIN jobs ON jobs.rowid IN (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = named.value
        AND (needs_schema IS NULL OR needs_schema <= {knows})
    ORDER BY priority DESC, created_at, id
    LIMIT :limit
)
WHERE (jobs.expires_at IS NULL OR jobs.expires_at > :now)
ORDER BY jobs.priority DESC, jobs.created_at, jobs.id
LIMIT :limit;

-- name: due_up_to
SELECT count(*) AS due
FROM (
    SELECT 1
    FROM json_each(:queues) AS named
    JOIN jobs ON jobs.queue = named.value
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
    LIMIT :limit
) AS found;

-- name: anything_due_in_queues
SELECT 1 AS due
FROM json_each(:queues) AS named
JOIN jobs ON jobs.queue = named.value
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
LIMIT 1;

-- The rows are one JSON object, each under the id of its execution: one statement for all costs two
-- thirds of one for each. Before `claim_rows`, which overwrites the time of the last change. A job
-- that has an open execution keeps that one. The due time is made as in `open_execution`.
-- name: open_executions_of_rows
INSERT INTO job_executions (
    id, job_id, worker_id, status, started_at, attempt, run, due_at, due_why
)
SELECT json_each.key, jobs.id, :worker_id, 'running', :now, jobs.attempts + 1, :run,
    CASE
        WHEN coalesce(jobs.due_at, jobs.updated_at) LIKE '%+00:00'
            AND coalesce(jobs.due_at, jobs.updated_at) < :now
        THEN coalesce(jobs.due_at, jobs.updated_at)
        ELSE :now
    END,
    coalesce(jobs.due_why, 'submit')
FROM json_each(:taken)
CROSS JOIN jobs ON jobs.rowid = json_each.value
WHERE true
ON CONFLICT (job_id) WHERE status = 'running' DO NOTHING;

-- name: claim_rows
UPDATE jobs
SET status = 'running', attempts = attempts + 1, started_at = :now, updated_at = :now,
    worker_id = :worker_id, execution_id = json_each.key
FROM json_each(:taken)
WHERE jobs.rowid = json_each.value;

-- name: needs_before_claim
SELECT
    EXISTS (
        SELECT 1 FROM jobs
        WHERE linked = 0 AND status = 'pending'
            AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL)
    ) AS unlinked,
    EXISTS (SELECT 1 FROM gigq_pauses) AS paused,
    EXISTS (
        SELECT 1 FROM jobs
        WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= :now
    ) AS expired,
    EXISTS (
        SELECT 1 FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after <= :now
    ) AS promotable;

-- A limited number, so that a million jobs with one due time do not hold the lock for long.
-- name: promote_delayed
UPDATE jobs
SET retry_after = NULL, due_at = max(retry_after, coalesce(due_at, retry_after)),
    due_why = coalesce(due_why, 'delay')
WHERE rowid IN (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND retry_after <= :now
    ORDER BY retry_after
    LIMIT 1000
);

-- As limited. Foreign SQL may have stored attempts as text.
-- name: expire_jobs
UPDATE jobs
SET status = CASE WHEN CAST(attempts AS INTEGER) > 0 THEN 'failed' ELSE 'cancelled' END,
    cause = 'expired', completed_at = :now, updated_at = :now, retry_after = NULL,
    error = CASE
        WHEN CAST(attempts AS INTEGER) > 0 AND error IS NOT NULL THEN error
        WHEN CAST(snoozes AS INTEGER) > 0 AND error IS NOT NULL
            THEN :snoozing || replace(substr(expires_at, 1, 19), 'T', ' ') || :last || error
        ELSE :unstarted || replace(substr(expires_at, 1, 19), 'T', ' ') || '+00:00' END
WHERE rowid IN (
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= :now
    ORDER BY expires_at
    LIMIT 1000
)
RETURNING id, name, queue, status, error, CAST(attempts AS INTEGER) AS attempts,
    CAST(max_attempts AS INTEGER) AS max_attempts;

-- name: parents_of_unfinished
SELECT DISTINCT parent.value AS id
FROM jobs AS child, json_each(
    CASE WHEN typeof(child.dependencies) = 'text' AND json_valid(child.dependencies)
        THEN child.dependencies ELSE '[]' END
) AS parent
WHERE child.dependencies <> '[]' AND child.status IN ('pending', 'running')
    AND child.rowid > :row;

-- Row numbers have the order in which jobs were stored. The condition is the one of the index.
-- name: oldest_finished
SELECT rowid AS row, id, created_at, dependencies, coalesce(completed_at, updated_at) AS over_at
FROM jobs
WHERE status = :status AND status <> 'pending' AND status <> 'running' AND rowid > :after
ORDER BY rowid
LIMIT :limit;

-- name: latest_beyond
SELECT rowid AS row FROM jobs
WHERE status = :status AND status <> 'pending' AND status <> 'running'
ORDER BY rowid DESC
LIMIT 1 OFFSET :kept;

-- Row numbers above that of an existing row are those of later jobs.
-- name: latest_row
SELECT rowid AS row, id FROM jobs ORDER BY rowid DESC LIMIT 1;

-- name: is_still_there
SELECT 1 AS there FROM jobs WHERE rowid = :row AND id = :id;

-- Only a job that is unchanged since it was chosen, and without an open execution.
-- name: prune_job
DELETE FROM jobs
WHERE rowid = :row AND id = :id AND status = :status
    AND coalesce(completed_at, updated_at) = :over_at
    AND NOT EXISTS (SELECT 1 FROM job_executions e WHERE e.job_id = :id AND e.status = 'running');

-- name: prune_executions
DELETE FROM job_executions
WHERE job_id = :id AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :id);

-- name: prune_edges
DELETE FROM job_dependencies
WHERE job_id = :id AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = :id);

-- No other worker links them now, and no parent needs a lock.
-- name: unlinked_jobs_to_link
SELECT rowid AS row, id, name, '[]' AS dependencies, retry_after, expires_at
FROM jobs
WHERE linked = 0 AND status = 'pending'
    AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL);
