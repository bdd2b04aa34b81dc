"""The database file and what lies beside it: identity, permissions, beginnings."""
