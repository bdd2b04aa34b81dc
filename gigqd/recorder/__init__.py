"""What runs in the recorder process."""
