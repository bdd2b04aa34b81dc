"""Inspection of a database, and what its state means."""
