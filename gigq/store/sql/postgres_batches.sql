-- Statements of PostgreSQL that do in one round trip what several do on SQLite.

-- The parameters after the first two are the columns of all rows, as texts. The jobs are locked in the
-- order of their ids, so that two transactions never wait for each other.
-- name: complete_together
WITH locked AS MATERIALIZED (
    SELECT at.now, jobs.id
    FROM (SELECT ?::text AS now) AS at, jobs
    WHERE jobs.id = ANY (?::text[])
    ORDER BY jobs.id
    FOR UPDATE OF jobs
),
given AS MATERIALIZED (
    SELECT * FROM unnest(
        ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[]
    ) AS given (result, output, peak_rss, cpu_time, wall_time, execution_id, job_id)
),
ended AS (
    UPDATE jobs
    SET status = 'completed', result = given.result, error = NULL, cause = NULL, worker_id = NULL,
        completed_at = CASE WHEN started_at > locked.now THEN started_at ELSE locked.now END,
        updated_at = locked.now
    FROM locked
    JOIN given ON given.job_id = locked.id
    WHERE jobs.id = locked.id AND jobs.status = 'running'
        AND jobs.execution_id = given.execution_id
    RETURNING jobs.execution_id, jobs.updated_at AS now
),
closed AS (
    UPDATE job_executions
    SET status = 'completed', result = given.result, output = given.output,
        peak_rss = given.peak_rss::bigint, cpu_time = given.cpu_time::double precision,
        wall_time = given.wall_time::double precision,
        completed_at = CASE WHEN started_at > ended.now THEN started_at ELSE ended.now END
    FROM ended
    JOIN given ON given.execution_id = ended.execution_id
    WHERE job_executions.id = ended.execution_id AND job_executions.status = 'running'
    RETURNING 1
)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM closed);

-- name: insert_edge_at_once
INSERT INTO job_dependencies (parent_id, job_id)
SELECT given.parent_id, given.job_id
FROM unnest(?::text[], ?::text[]) AS given (parent_id, job_id);
