-- usable from: 15
-- The functions that the processes of each run could not find, when a job of theirs was started last.
CREATE TABLE gigq_unknown_functions (
    run     TEXT NOT NULL,
    module  TEXT NOT NULL,               -- or the path of the script
    name    TEXT NOT NULL,
    host    TEXT NOT NULL,
    since   TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    error   TEXT NOT NULL,
    PRIMARY KEY (run, module, name)
);

-- Workers that know no such schema leave the job to others; NULL: none does.
ALTER TABLE jobs ADD COLUMN needs_schema INTEGER;
