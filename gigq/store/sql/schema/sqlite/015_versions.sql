-- usable from: 15
-- Each later version states the oldest one whose programs may go on with the tables. A process shows
-- the version that it knows.
ALTER TABLE gigq_schema ADD COLUMN usable_from INTEGER;

ALTER TABLE gigq_schema ADD COLUMN applied_by TEXT;      -- version of the gigq

ALTER TABLE gigq_processes ADD COLUMN knows_schema INTEGER;
