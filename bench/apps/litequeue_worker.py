"""A worker for litequeue, which has none: take, run, mark as done."""

import os
import time
from pathlib import Path

from litequeue import LiteQueue

from bench import work

POLL = 0.005


def main() -> None:
    """Work until killed."""
    queue = LiteQueue(str(Path(os.environ["BENCH_FOLDER"], "lite.db")))
    while True:
        message = queue.pop()
        if message is None:
            time.sleep(POLL)
            continue
        work.FUNCTIONS[message.data]()
        queue.done(message.message_id)


if __name__ == "__main__":
    main()
