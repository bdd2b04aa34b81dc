-- The functions that processes could not find.

-- name: unknown_function
SELECT since, seen_at FROM gigq_unknown_functions
WHERE run = :run AND module = :module AND name = :name;

-- name: add_unknown_function
INSERT INTO gigq_unknown_functions (run, module, name, host, since, seen_at, error)
VALUES (:run, :module, :name, :host, :now, :now, :error)
ON CONFLICT (run, module, name) DO NOTHING;

-- name: renew_unknown_function
UPDATE gigq_unknown_functions SET since = :since, seen_at = :now, error = :error
WHERE run = :run AND module = :module AND name = :name;

-- name: unknown_functions
SELECT run, module, name, host, since, error FROM gigq_unknown_functions
WHERE seen_at > :after
ORDER BY module, name, host, since;

-- name: forget_unknown_functions
DELETE FROM gigq_unknown_functions WHERE seen_at < :before;

-- name: run_of_execution
SELECT run, due_at FROM job_executions WHERE id = :execution_id;
