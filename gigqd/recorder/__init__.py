"""Code of the recorder process."""
