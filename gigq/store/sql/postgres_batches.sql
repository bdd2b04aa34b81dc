-- Statements of PostgreSQL that do in one round trip what several do on SQLite.

-- All parameters but the last are the columns of all rows, as texts. The jobs are locked in the order
-- of their ids, so that two transactions never wait for each other. Each step passes the values on:
-- to join a list with another one takes the square of their length. So does the index of the open
-- executions, which the joined text avoids.
-- name: complete_together
WITH locked AS MATERIALIZED (
    SELECT given.*
    FROM unnest(
        ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[]
    ) AS given (result, output, peak_rss, cpu_time, wall_time, execution_id, job_id)
    JOIN jobs ON jobs.id = given.job_id
    ORDER BY jobs.id
    FOR UPDATE OF jobs
),
ended AS (
    UPDATE jobs
    SET status = 'completed', result = locked.result, error = NULL, cause = NULL, worker_id = NULL,
        completed_at = CASE WHEN started_at > at.now THEN started_at ELSE at.now END,
        updated_at = at.now
    FROM locked
    CROSS JOIN (SELECT ?::text AS now) AS at
    WHERE jobs.id = locked.job_id AND jobs.status = 'running'
        AND jobs.execution_id = locked.execution_id
    RETURNING locked.*, at.now
),
closed AS (
    UPDATE job_executions
    SET status = 'completed', result = ended.result, output = ended.output,
        peak_rss = ended.peak_rss::bigint, cpu_time = ended.cpu_time::double precision,
        wall_time = ended.wall_time::double precision,
        completed_at = CASE WHEN started_at > ended.now THEN started_at ELSE ended.now END
    FROM ended
    WHERE job_executions.id = ended.execution_id AND job_executions.status || '' = 'running'
    RETURNING 1
)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM closed);

-- The jobs are locked already. One that has a cancel request, or is not the worker's any more, is left.
-- name: release_together
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(?::text[], ?::text[]) AS given (execution_id, job_id)
),
removed AS (
    DELETE FROM job_executions
    USING given
    WHERE job_executions.id = given.execution_id AND job_executions.status || '' = 'running'
        AND cancel_requested_at IS NULL
    RETURNING given.execution_id, given.job_id, due_at, due_why
)
UPDATE jobs
SET status = 'pending', attempts = attempts - 1, worker_id = NULL, execution_id = NULL,
    started_at = CASE attempts WHEN 1 THEN NULL ELSE started_at END, updated_at = ?,
    due_at = removed.due_at, due_why = removed.due_why
FROM removed
WHERE jobs.id = removed.job_id AND jobs.status = 'running'
    AND jobs.execution_id = removed.execution_id
RETURNING removed.execution_id, queue, attempts, max_attempts;

-- name: insert_edge_at_once
INSERT INTO job_dependencies (parent_id, job_id)
SELECT given.parent_id, given.job_id
FROM unnest(?::text[], ?::text[]) AS given (parent_id, job_id);
