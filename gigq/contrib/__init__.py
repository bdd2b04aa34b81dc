"""Support for single frameworks; each module imports its framework."""
