"""The daemon's place on the machine: files, locks, accounts, systemd."""
