"""What a user of each queue writes: the same jobs, as its documentation shows it."""
