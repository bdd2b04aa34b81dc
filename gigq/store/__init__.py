"""Everything that knows that a database exists. The SQL is in `sql/`, and only there."""
