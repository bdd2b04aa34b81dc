-- Statements of PostgreSQL that do in one round trip what the one without `_at_once` does for each
-- row. Each parameter is one column of all rows, as texts.

-- name: complete_execution_at_once
UPDATE job_executions
SET status = 'completed', result = given.result, output = given.output,
    peak_rss = given.peak_rss::bigint, cpu_time = given.cpu_time::double precision,
    wall_time = given.wall_time::double precision,
    completed_at = CASE WHEN started_at > given.earliest THEN started_at ELSE given.now END
FROM unnest(
    ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[]
) AS given (result, output, peak_rss, cpu_time, wall_time, earliest, now, id)
WHERE job_executions.id = given.id AND job_executions.status = 'running';

-- name: complete_job_of_execution_at_once
UPDATE jobs
SET status = 'completed', result = given.result, error = NULL, cause = NULL, worker_id = NULL,
    completed_at = CASE WHEN started_at > given.earliest THEN started_at ELSE given.now END,
    updated_at = given.updated
FROM unnest(
    ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[]
) AS given (result, earliest, now, updated, id, execution_id)
WHERE jobs.id = given.id AND jobs.status = 'running' AND jobs.execution_id = given.execution_id;

-- name: insert_edge_at_once
INSERT INTO job_dependencies (parent_id, job_id)
SELECT given.parent_id, given.job_id
FROM unnest(?::text[], ?::text[]) AS given (parent_id, job_id);
