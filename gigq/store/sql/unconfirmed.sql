-- Statements after a transaction whose commit was not confirmed.

-- The executions of one transaction have the same time.
-- name: executions_opened_together
SELECT other.id AS execution_id, other.job_id
FROM job_executions AS first_one
JOIN job_executions AS other ON other.run = first_one.run
    AND other.worker_id = first_one.worker_id AND other.started_at = first_one.started_at
    AND other.status = 'running'
WHERE first_one.id = :execution_id;

-- name: recorded_outcome
SELECT e.status AS recorded, e.error, e.cause, j.status, j.attempts, j.max_attempts, j.retry_after,
    j.execution_id, j.queue
FROM job_executions e
JOIN jobs j ON j.id = e.job_id
WHERE e.id = :execution_id;

-- For PostgreSQL: if a transaction with this execution is being committed, the insertion waits for
-- its end. The row is gone again at the end of this one, which releases it like a claim.
-- name: lock_execution
INSERT INTO job_executions (id, job_id, worker_id, status, started_at, run)
VALUES (:execution_id, :execution_id, '', 'running', '', '')
ON CONFLICT (id) DO NOTHING;
