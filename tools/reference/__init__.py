"""Generator of the reference in docs/reference and of the manual pages in docs/man."""
