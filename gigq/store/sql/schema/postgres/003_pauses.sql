-- The queues that are paused, '*' for all of them: no worker claims their jobs.
CREATE TABLE gigq_pauses (
    queue     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    paused_at TEXT COLLATE "C" NOT NULL
);
