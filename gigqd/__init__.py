"""gigqd: the daemon that runs gigq's jobs. It exports nothing; the command is the interface."""
