-- The upgrade of a file of GigQ 0.5.1, which was always SQLite.
-- name: set_jobs_aside
ALTER TABLE jobs RENAME TO gigq_old_jobs;

-- name: create_old_executions
CREATE TABLE IF NOT EXISTS job_executions (
    id TEXT, job_id TEXT, worker_id TEXT, status TEXT, started_at TEXT, completed_at TEXT,
    result TEXT, error TEXT
);

-- name: set_executions_aside
ALTER TABLE job_executions RENAME TO gigq_old_executions;

-- name: old_jobs
SELECT rowid AS row, * FROM gigq_old_jobs WHERE rowid > :after ORDER BY rowid LIMIT :limit;

-- name: old_executions
SELECT rowid AS row, * FROM gigq_old_executions WHERE rowid > :after ORDER BY rowid LIMIT :limit;

-- name: insert_old_job
INSERT INTO jobs (
    id, name, function_name, function_module, params, priority, dependencies, max_attempts,
    timeout, description, status, created_at, updated_at, attempts, result, error, started_at,
    completed_at, worker_id, pass_parent_results, retry_delay, retry_after, on_parent_failure
) VALUES (
    :id, :name, :function_name, :function_module, :params, :priority, :dependencies, :max_attempts,
    :timeout, :description, :status, :created_at, :updated_at, :attempts, :result, :error,
    :started_at, :completed_at, :worker_id, :pass_parent_results, :retry_delay, :retry_after,
    :on_parent_failure
);

-- The old table allowed several open executions of a job; the new one does not. They come in
-- closed, and the current one of a running job is opened again.
-- name: insert_old_execution
INSERT INTO job_executions (id, job_id, worker_id, status, started_at, completed_at, result, error)
VALUES (
    :id, :job_id, :worker_id, CASE :status WHEN 'running' THEN 'superseded' ELSE :status END,
    :started_at, :completed_at, :result, :error
);

-- name: reopen_current_executions
UPDATE job_executions SET status = 'running'
WHERE id IN (
    SELECT (
        SELECT e.id FROM job_executions e
        WHERE e.job_id = j.id AND e.status = 'superseded'
        ORDER BY e.started_at DESC, e.id DESC
        LIMIT 1
    )
    FROM jobs j
    WHERE j.status = 'running'
);

-- name: close_superseded_executions
UPDATE job_executions
SET status = 'failed', completed_at = :now, cause = 'lost', note = 'left open by an older gigq'
WHERE status = 'superseded';

-- name: point_jobs_to_executions
UPDATE jobs SET execution_id = (
    SELECT e.id FROM job_executions e
    WHERE e.job_id = jobs.id
    ORDER BY e.status = 'running' DESC, e.started_at DESC, e.id DESC
    LIMIT 1
)
WHERE status <> 'pending';

-- A parent that had been deleted counted as done.
-- name: insert_old_edges
INSERT OR IGNORE INTO job_dependencies (parent_id, job_id)
SELECT parent.id, child.id
FROM jobs AS child, json_each(child.dependencies) AS named
JOIN jobs AS parent ON parent.id = named.value
WHERE child.status = 'pending' AND child.dependencies <> '[]' AND parent.status <> 'completed';

-- name: count_old_edges
UPDATE jobs
SET unmet = (SELECT count(*) FROM job_dependencies d WHERE d.job_id = jobs.id)
WHERE status = 'pending' AND dependencies <> '[]';

-- name: drop_old_jobs
DROP TABLE gigq_old_jobs;

-- name: drop_old_executions
DROP TABLE gigq_old_executions;
