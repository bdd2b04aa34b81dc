-- Finished jobs of each status in the order in which they were stored, for retention, which looks
-- at the oldest only. Two comparisons: a list would be built anew for every row that is written.
CREATE INDEX jobs_finished ON jobs (status) WHERE status <> 'pending' AND status <> 'running';

-- Retention asks for those stored since its last look.
DROP INDEX jobs_with_parents;

CREATE INDEX jobs_with_parents ON jobs (status)
    WHERE dependencies <> '[]' AND status IN ('pending', 'running');

-- Pending jobs that wait for others. With jobs_due and jobs_delayed these are all pending ones.
CREATE INDEX jobs_blocked ON jobs (status) WHERE status = 'pending' AND unmet <> 0;
