"""Values and pure rules of jobs: no database, no process."""
