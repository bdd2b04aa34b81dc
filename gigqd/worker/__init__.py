"""What runs in a worker process of the daemon."""
