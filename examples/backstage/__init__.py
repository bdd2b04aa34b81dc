"""What the demo needs besides the application: the daemon, a progress line, the audit."""
