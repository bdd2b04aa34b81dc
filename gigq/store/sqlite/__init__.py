"""Everything that is particular to SQLite: connections, locks, the log and its files."""
