"""Processes and their trees: forking, marking, looking, killing, reaping."""
