-- The workflow that a job was submitted in, for people.
ALTER TABLE jobs ADD COLUMN workflow TEXT;
