"""gigqd does its whole job on real files: `make demo`.

An ordinary application submits an index of the standard library's source files. While the workers
are at it one job overruns, one takes its worker down, one fails twice, and the pool is enlarged.
At the end every job is accounted for; the exit code is 0 only when every check passed.
"""

from __future__ import annotations

import sys

# Nothing may be left behind, so no bytecode among the examples either.
sys.dont_write_bytecode = True

from backstage.performance import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
