"""How the daemon's processes and its commands exchange data."""
