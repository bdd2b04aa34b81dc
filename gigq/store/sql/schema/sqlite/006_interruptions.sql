-- Of a job that was interrupted while it ran, or saw that it is to end.
ALTER TABLE job_executions ADD COLUMN interrupted_by TEXT;        -- timeout, cancelled or stopped

ALTER TABLE job_executions ADD COLUMN returned_after REAL;        -- seconds from then to its end
