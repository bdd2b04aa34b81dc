"""A worker for persist-queue, which has none: threads that take, run and acknowledge."""

import os
import sys
import time
from threading import Thread

import persistqueue

from bench import work

POLL = 0.005


def main() -> None:
    """Work until killed, in so many threads."""
    folder = os.environ["BENCH_FOLDER"]
    queue = persistqueue.SQLiteAckQueue(folder, multithreading=True)
    for _ in range(int(sys.argv[1])):
        Thread(target=serve, args=(queue,)).start()


def serve(queue: persistqueue.SQLiteAckQueue) -> None:
    """Take, run, acknowledge."""
    while True:
        try:
            item = queue.get(block=False)
        except persistqueue.Empty:
            time.sleep(POLL)
            continue
        work.FUNCTIONS[item]()
        queue.ack(item)


if __name__ == "__main__":
    main()
