-- The edges show whether a job still waits for a parent. `jobs.unmet` is the number of parents when
-- the job was stored or requeued, and 0 once it waits for none: it is not counted down, so that the
-- row with its list of parents is written once and not for each parent.
CREATE INDEX job_dependencies_of ON job_dependencies (job_id);
