"""What runs inside the children; the only part of the daemon that knows jobs and databases."""
