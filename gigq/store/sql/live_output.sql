-- The output of running attempts that readers on other hosts follow.

-- name: request_output
INSERT INTO gigq_output_requests (execution_id, expires_at)
SELECT id, :expires_at FROM job_executions WHERE id = :execution_id AND status = 'running'
ON CONFLICT (execution_id) DO UPDATE
SET expires_at = greatest(gigq_output_requests.expires_at, excluded.expires_at);

-- name: output_request
SELECT e.run, r.answer, p.host, p.seen_at, p.lease, p.lease_ends_at
FROM job_executions e
LEFT JOIN gigq_output_requests r ON r.execution_id = e.id
LEFT JOIN gigq_processes p ON p.run = e.run
WHERE e.id = :execution_id;

-- name: output_parts
SELECT start, encode(content, 'base64') AS content
FROM gigq_output_parts
WHERE execution_id = :execution_id AND start + octet_length(content) > :position
ORDER BY start;

-- name: requested_outputs
SELECT e.id AS execution_id, e.worker_id
FROM gigq_output_requests r
JOIN job_executions e ON e.id = r.execution_id
WHERE e.run = :run AND e.status = 'running' AND r.expires_at > :now;

-- name: answer_output_request
UPDATE gigq_output_requests SET answer = :answer
WHERE execution_id = :execution_id AND EXISTS (
    SELECT 1 FROM job_executions
    WHERE id = :execution_id AND run = :run AND status = 'running'
);

-- The guards of an outcome: the job still runs, in this execution, and the lease of its run goes on.
-- They need no row locks, because a part is no part of the outcome.
-- name: store_output_part
INSERT INTO gigq_output_parts (execution_id, start, content)
SELECT e.id, :start, decode(:content, 'base64')
FROM gigq_output_requests r
JOIN job_executions e ON e.id = r.execution_id
JOIN jobs j ON j.id = e.job_id
JOIN gigq_processes p ON p.run = e.run
WHERE r.execution_id = :execution_id AND r.expires_at > :now
    AND e.status = 'running' AND e.run = :run
    AND j.status = 'running' AND j.execution_id = e.id
    AND p.lease_ends_at > :now
ON CONFLICT (execution_id, start) DO UPDATE SET content = excluded.content;

-- name: drop_output_parts
DELETE FROM gigq_output_parts
WHERE execution_id = :execution_id AND (start < :first OR start > :start);

-- name: forget_output_requests
DELETE FROM gigq_output_requests WHERE expires_at <= :now;
