"""`python -m gigqd` is the `gigqd` command."""

import sys

from gigqd.cli import main

if __name__ == "__main__":
    sys.exit(main())
