"""Code of the child processes, the only part of the daemon that knows jobs and databases."""
