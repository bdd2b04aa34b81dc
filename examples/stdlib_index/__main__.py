"""Submit the index to a queue: `python -m stdlib_index DATABASE`."""

from __future__ import annotations

import sys

from gigq import JobQueue
from stdlib_index.workflow import build, source_files


def main(database: str) -> None:
    """Submit every job, and say where the result will be."""
    workflow, last = build(source_files())
    workflow.submit_all(JobQueue(database))
    print(f"{len(workflow.jobs)} jobs submitted. When they are done, the index is in")
    print(f"    gigq status {last.id} --show-result --db {database}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m stdlib_index DATABASE")
    main(sys.argv[1])
