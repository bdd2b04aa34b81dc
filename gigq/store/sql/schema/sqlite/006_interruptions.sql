-- Set when a running job was interrupted, or saw that it must end.
ALTER TABLE job_executions ADD COLUMN interrupted_by TEXT;        -- timeout, cancelled or stopped

ALTER TABLE job_executions ADD COLUMN returned_after REAL;        -- seconds from then to its end
