-- Statements of retention, which every dialect accepts unchanged.

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
