"""What gigq has for single frameworks; each module needs its framework, and loads it."""
