-- Statements that differ from those of SQLite, each with the reason.

-- name: insert_job
INSERT INTO jobs ({columns}, linked) VALUES ({named}, 1) ON CONFLICT (id) DO NOTHING;

-- Each parameter is one column of all rows, as texts: one statement for any number of jobs.
-- name: insert_jobs
INSERT INTO jobs ({columns}, linked)
SELECT {values}, 1 FROM unnest({arrays}) AS given ({columns})
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- The same for new jobs only. The column `updated_at` has the server's time, as above.
-- name: copy_jobs
COPY jobs ({columns}, linked) FROM STDIN;

-- The functions of SQLite that read a time do not exist.
-- name: delayed_without_time
SELECT rowid AS row, id, name, retry_after
FROM jobs
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    AND (retry_after = :earliest OR NOT gigq_is_time(retry_after))
LIMIT 100;

-- Others may end the same jobs. An array, since the server may repeat a subquery of IN, with other
-- jobs each time, and exceed the limit.
-- name: expire_jobs
UPDATE jobs
SET status = CASE WHEN attempts > 0 THEN 'failed' ELSE 'cancelled' END,
    cause = 'expired', completed_at = :now, updated_at = :now, retry_after = NULL,
    error = CASE
        WHEN attempts > 0 AND error IS NOT NULL THEN error
        WHEN snoozes > 0 AND error IS NOT NULL
            THEN :snoozing || replace(substr(expires_at, 1, 19), 'T', ' ') || :last || error
        ELSE :unstarted || replace(substr(expires_at, 1, 19), 'T', ' ') || '+00:00' END
WHERE rowid = ANY (ARRAY(
    SELECT rowid FROM jobs
    WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at <= :now
    ORDER BY expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
))
RETURNING id, name, queue, status, error, attempts, max_attempts;

-- A list that is not JSON would be an error here.
-- name: insert_edges_of_unlinked
INSERT INTO job_dependencies (parent_id, job_id)
SELECT parent.id, child.id
FROM jobs AS child
CROSS JOIN LATERAL unnest(gigq_ids(child.dependencies)) AS named (id)
JOIN jobs AS parent ON parent.id = named.id
WHERE child.rowid = ANY (ARRAY(SELECT value::bigint FROM json_each(:rows)))
    AND parent.status <> 'completed'
    AND NOT (
        child.on_parent_failure = 'run' AND parent.status IN ('failed', 'timeout', 'cancelled')
    )
ON CONFLICT DO NOTHING;

-- The jobs of one status in the order in which they were stored. As a range, since the server would
-- read all jobs in the order of `rowid` for a status that it takes for a frequent one.
-- name: oldest_finished
SELECT rowid AS row, id, created_at, dependencies, coalesce(completed_at, updated_at) AS over_at
FROM jobs
WHERE (status, rowid) > (:status, :after) AND status <= :status
    AND status <> 'pending' AND status <> 'running'
ORDER BY status, rowid
LIMIT :limit;

-- name: latest_beyond
SELECT rowid AS row FROM jobs
WHERE status >= :status AND status <= :status AND status <> 'pending' AND status <> 'running'
ORDER BY status DESC, rowid DESC
LIMIT 1 OFFSET :kept;

-- The parents of unfinished jobs among some jobs. A row with a lower number may be stored later than
-- one with a higher number, so all unfinished jobs with parents are read for each batch of jobs.
-- name: parents_among
SELECT DISTINCT parent.id
FROM (
    SELECT unnest(gigq_ids(dependencies)) AS id FROM jobs
    WHERE dependencies <> '[]' AND status IN ('pending', 'running')
) AS parent
WHERE parent.id IN (SELECT value FROM json_each(:ids));

-- Only jobs that are unchanged since they were chosen, and without an open execution. The transaction
-- has locked them. One statement for a large batch, instead of three for each job.
-- name: prune_jobs
WITH gone AS (
    DELETE FROM jobs
    USING json_to_recordset(:jobs::json) AS chosen (row BIGINT, id TEXT, over_at TEXT)
    WHERE jobs.rowid = chosen.row AND jobs.id = chosen.id AND jobs.status = :status
        AND coalesce(jobs.completed_at, jobs.updated_at) = chosen.over_at
        AND NOT EXISTS (
            SELECT 1 FROM job_executions e WHERE e.job_id = chosen.id AND e.status = 'running'
        )
    RETURNING jobs.id
),
executions AS (
    DELETE FROM job_executions WHERE job_id IN (SELECT id FROM gone)
),
edges AS (
    DELETE FROM job_dependencies WHERE job_id IN (SELECT id FROM gone)
)
SELECT count(*) AS deleted FROM gone;

-- Rows on which a transaction decides. On SQLite it has the only write lock. Here the settlement of
-- a parent waits for the insertion of a dependent and the other way round, and so do two parents of
-- one dependent. In the order of ids, so that two transactions never wait for each other.
-- name: lock_parents
SELECT 1 FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id FOR SHARE;

-- name: lock_dependents
SELECT 1 FROM jobs
WHERE id IN (SELECT job_id FROM job_dependencies WHERE parent_id = :parent_id)
ORDER BY id FOR UPDATE;

-- name: lock_jobs
SELECT 1 FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id FOR UPDATE;

-- Another worker links the locked ones. No claim takes them until then.
-- name: unlinked_jobs_to_link
SELECT rowid AS row, id, name, dependencies, retry_after, expires_at
FROM jobs
WHERE linked = 0 AND status = 'pending'
    AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL)
ORDER BY id
FOR UPDATE SKIP LOCKED;

-- The lock keeps the process from renewing its lease until its jobs are settled.
-- name: lease_of
SELECT seen_at, lease, lease_ends_at FROM gigq_processes WHERE run = :run FOR UPDATE;

-- Differs after a restart, and on a standby that has taken over.
-- name: server_identity
SELECT pg_postmaster_start_time()::text AS started_at;

-- All that an idle daemon asks, once a second.
-- name: look_of_daemon
SELECT
    gigq_now() AS now,
    (SELECT max(version) FROM gigq_schema) AS version,
    (
        SELECT min(queue) FROM jobs WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL
    ) IS NOT NULL AS due,
    (
        SELECT min(retry_after) FROM jobs
        WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL
    ) AS due_at,
    (
        SELECT min(expires_at) FROM jobs WHERE status = 'pending' AND expires_at IS NOT NULL
    ) AS expires_at,
    EXISTS (
        SELECT 1 FROM jobs
        WHERE linked = 0 AND status = 'pending'
            AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL)
    ) AS unlinked,
    EXISTS (SELECT 1 FROM job_executions WHERE status = 'running')
    OR EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND execution_id IS NULL) AS open,
    (
        SELECT string_agg(id, ' ' ORDER BY id) FROM job_executions
        WHERE status = 'running' AND cancel_requested_at IS NOT NULL
    ) AS cancels,
    (
        SELECT string_agg(execution_id, ' ') FROM gigq_output_requests WHERE expires_at > gigq_now()
    ) AS output_requests;

-- Connections that this role may have to this database at the same time. A superuser has the reserved
-- ones, too, and no limit of its role or of the database.
-- name: connection_limit
SELECT
    least(
        current_setting('max_connections')::int - CASE WHEN role.rolsuper THEN 0 ELSE
            current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true)::int, 0) END,
        CASE WHEN NOT role.rolsuper AND role.rolconnlimit >= 0 THEN role.rolconnlimit END,
        CASE WHEN NOT role.rolsuper AND base.datconnlimit >= 0 THEN base.datconnlimit END
    ) AS most
FROM pg_roles AS role, pg_database AS base
WHERE role.rolname = current_user AND base.datname = current_database();
