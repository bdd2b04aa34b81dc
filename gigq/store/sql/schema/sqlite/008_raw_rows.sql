-- 0 in a row of foreign SQL: before a claim its parents must become rows of job_dependencies, and
-- its time UTC. There is no trigger on new rows or their status, which every job would pay for.
ALTER TABLE jobs ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;

UPDATE jobs SET linked = 1 WHERE status = 'pending' AND unmet <> 0;

CREATE INDEX jobs_unlinked ON jobs (status)
    WHERE linked = 0 AND status = 'pending' AND (dependencies <> '[]' OR retry_after IS NOT NULL);

CREATE TRIGGER jobs_put_off AFTER UPDATE OF retry_after ON jobs
WHEN NEW.linked <> 0 AND NEW.retry_after IS NOT NULL
    AND NOT (length(NEW.retry_after) = 32 AND substr(NEW.retry_after, 27) = '+00:00')
BEGIN
    UPDATE jobs SET linked = 0 WHERE rowid = NEW.rowid;
END;
