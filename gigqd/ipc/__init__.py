"""Communication between the daemon's processes and its commands."""
