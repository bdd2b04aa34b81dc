-- A list of parents that foreign SQL has changed counts as that of a new row: the next claim makes
-- rows of job_dependencies of it. gigq itself writes the column in new rows only.
CREATE TRIGGER jobs_parents_changed AFTER UPDATE OF dependencies ON jobs
WHEN NEW.linked <> 0 AND NEW.dependencies IS NOT OLD.dependencies
BEGIN
    DELETE FROM job_dependencies WHERE job_id = NEW.id;
    UPDATE jobs SET linked = 0, unmet = 0 WHERE rowid = NEW.rowid;
END;
