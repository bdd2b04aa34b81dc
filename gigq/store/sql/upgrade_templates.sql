-- Statements of the upgrade with names that a user chose: braces stand for quoted names.
-- name: add_column
ALTER TABLE {table} ADD COLUMN {definition};

-- EXPLAIN prepares a statement and does not run it.
-- name: explain_read
EXPLAIN SELECT * FROM {table};

-- name: explain_insert
EXPLAIN INSERT INTO {table} DEFAULT VALUES;

-- name: explain_update
EXPLAIN UPDATE {table} SET {columns};

-- name: explain_delete
EXPLAIN DELETE FROM {table};

-- name: count_rows
SELECT count(*) AS number FROM {table};

-- name: old_rows
SELECT rowid AS gigq_row{columns} FROM {table}
WHERE rowid > :after ORDER BY rowid LIMIT :limit;

-- Row numbers stay: views, triggers and search tables of a user may depend on them.
-- name: insert_old_job
INSERT INTO jobs (
    rowid, id, name, function_name, function_module, params, priority, dependencies, max_attempts,
    timeout, description, status, created_at, updated_at, attempts, result, error, started_at,
    completed_at, worker_id, pass_parent_results, retry_delay, retry_after, due_why,
    on_parent_failure{added}
)
SELECT
    :gigq_row, :id, :name, :function_name, :function_module, :params, :priority, :dependencies,
    :max_attempts, :timeout, :description, :status, :created_at, :updated_at, :attempts, :result,
    :error, :started_at, :completed_at, :worker_id, :pass_parent_results, :retry_delay,
    :retry_after, :due_why, :on_parent_failure{added}
FROM gigq_old_jobs
WHERE rowid = :gigq_row;

-- The old table allowed several open executions of a job; the new one does not. They are inserted
-- as closed, and `reopen_current_executions` opens the current ones.
-- name: insert_old_execution
INSERT INTO job_executions (
    rowid, id, job_id, worker_id, status, started_at, completed_at, result, error{added}
)
SELECT
    :gigq_row, :id, :job_id, :worker_id, CASE :status WHEN 'running' THEN 'superseded' ELSE :status END,
    :started_at, :completed_at, :result, :error{added}
FROM gigq_old_executions
WHERE rowid = :gigq_row;
