-- Finished jobs of each status in the order in which they were stored, for retention, which reads
-- the oldest only. Two comparisons, since SQLite would build a list for every row that is written.
CREATE INDEX jobs_finished ON jobs (status) WHERE status <> 'pending' AND status <> 'running';

-- Retention reads the jobs stored since its last batch.
DROP INDEX jobs_with_parents;

CREATE INDEX jobs_with_parents ON jobs (status)
    WHERE dependencies <> '[]' AND status IN ('pending', 'running');

-- Pending jobs that wait for others. Together with jobs_due and jobs_delayed: all pending jobs.
CREATE INDEX jobs_blocked ON jobs (status) WHERE status = 'pending' AND unmet <> 0;
