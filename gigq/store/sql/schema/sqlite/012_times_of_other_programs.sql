-- A time in another form than gigq's own, which other programs may write, is converted by the next
-- claim. Texts of the same length with a space between date and time are such ones as well.
DROP INDEX jobs_unlinked;

CREATE INDEX jobs_unlinked ON jobs (status)
    WHERE linked = 0 AND status = 'pending'
        AND (dependencies <> '[]' OR retry_after IS NOT NULL OR expires_at IS NOT NULL);

DROP TRIGGER jobs_put_off;

CREATE TRIGGER jobs_put_off AFTER UPDATE OF retry_after ON jobs
WHEN NEW.linked <> 0 AND NEW.retry_after NOT GLOB '????-??-??T??:??:??.??????+00:00'
BEGIN
    UPDATE jobs SET linked = 0 WHERE rowid = NEW.rowid;
END;

CREATE TRIGGER jobs_expiry_set AFTER UPDATE OF expires_at ON jobs
WHEN NEW.linked <> 0 AND NEW.expires_at NOT GLOB '????-??-??T??:??:??.??????+00:00'
BEGIN
    UPDATE jobs SET linked = 0 WHERE rowid = NEW.rowid;
END;

UPDATE jobs SET linked = 0
WHERE status = 'pending' AND (
    expires_at NOT GLOB '????-??-??T??:??:??.??????+00:00'
    OR retry_after NOT GLOB '????-??-??T??:??:??.??????+00:00'
);
