"""gigq: background jobs without a broker. This module is the front door and holds no code."""
