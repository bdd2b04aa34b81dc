"""Entry point of `python -m gigq.cli`, which is the `gigq` command, as in GigQ 0.5.1."""

import sys

from gigq.cli import main

if __name__ == "__main__":
    sys.exit(main())
