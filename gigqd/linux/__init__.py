"""System calls, signals and timers that Python lacks."""
