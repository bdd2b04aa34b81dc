"""What a host says of the runs of all hosts: `python -m torture.hosts.sight PLACE RUN…`.

Prints one JSON object: of each run whether this host is the one that it names, by boot and process
namespace, and whether it names the lock file of this host.
"""

from __future__ import annotations

import json
import sys

from gigq.store.sqlite.processes import run_locks


def main() -> None:
    """Print what this host says."""
    place, *runs = sys.argv[1:]
    own = run_locks.id_of_lock_file(place)
    seen = {
        run: [run_locks.is_of_this_host(run), run_locks.lock_file_of(run) == own] for run in runs
    }
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
