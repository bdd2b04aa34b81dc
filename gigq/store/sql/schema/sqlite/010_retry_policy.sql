-- Rules for what follows an attempt without success, as JSON; NULL: the usual ones, with the delays
-- of the worker that ran it.
ALTER TABLE jobs ADD COLUMN retry_policy TEXT;

ALTER TABLE jobs ADD COLUMN snoozes INTEGER NOT NULL DEFAULT 0;   -- times that the job put itself off
