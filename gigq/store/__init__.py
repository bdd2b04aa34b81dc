"""The store: all code that knows that a database exists. All SQL is in `sql/`."""
