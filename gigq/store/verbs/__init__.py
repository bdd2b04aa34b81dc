"""The operations on jobs, written against named statements; no driver in here."""
