-- Limits of a job, cancel requests for running jobs, and details of failed attempts.
ALTER TABLE jobs ADD COLUMN memory_limit INTEGER;                 -- bytes; NULL: the pool's

-- Attempts that may kill a process before the job fails for good; NULL: all of max_attempts.
ALTER TABLE jobs ADD COLUMN crash_limit INTEGER DEFAULT 3;

ALTER TABLE job_executions ADD COLUMN cancel_requested_at TEXT;

ALTER TABLE job_executions ADD COLUMN wall_time REAL;             -- seconds

ALTER TABLE job_executions ADD COLUMN late REAL;                  -- seconds from limit and grace to kill

ALTER TABLE job_executions ADD COLUMN killed INTEGER;             -- processes sent SIGKILL

-- The open requests alone: the recorder reads them several times a second.
CREATE INDEX job_executions_to_cancel ON job_executions (job_id)
    WHERE status = 'running' AND cancel_requested_at IS NOT NULL;
