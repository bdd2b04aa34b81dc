-- Jobs that run later, or not too late, and the history of waiting.
ALTER TABLE jobs ADD COLUMN expires_at TEXT;                      -- not started at this time or later

-- Since when a pending job is due; NULL: since updated_at, or not yet. An execution keeps both.
ALTER TABLE jobs ADD COLUMN due_at TEXT;

ALTER TABLE jobs ADD COLUMN due_why TEXT;                         -- NULL: submit

ALTER TABLE job_executions ADD COLUMN due_at TEXT;

ALTER TABLE job_executions ADD COLUMN due_why TEXT;

UPDATE jobs SET due_why = 'retry'
WHERE status = 'pending' AND unmet = 0 AND retry_after IS NOT NULL AND attempts > 0;

-- Only jobs that may expire: every claim looks for the first.
CREATE INDEX jobs_expiring ON jobs (expires_at)
    WHERE status = 'pending' AND expires_at IS NOT NULL;
