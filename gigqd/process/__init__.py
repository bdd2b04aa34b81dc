"""Processes and their trees: fork, tag, scan, kill, reap."""
