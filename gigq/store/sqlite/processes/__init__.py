"""Processes that use a database: run locks, lock holders, wakeups."""
