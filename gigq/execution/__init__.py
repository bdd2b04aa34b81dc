"""Running claims: attempts, batches, interruption."""
