-- Whether a job still waits for anybody is asked of its edges. `jobs.unmet` is how many parents it
-- waited for when it was stored or requeued, and 0 as soon as none of them is left: it is not
-- counted down, so that the row with its list of parents is not written for each of them.
CREATE INDEX job_dependencies_of ON job_dependencies (job_id);
