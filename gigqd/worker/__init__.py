"""Code that runs in a worker process of the daemon."""
