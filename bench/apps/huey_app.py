"""Jobs for huey."""

import os
from pathlib import Path

from huey import SqliteHuey

from bench import work

huey = SqliteHuey(filename=str(Path(os.environ["BENCH_FOLDER"], "huey.db")), fsync=True)
TASKS = {name: huey.task(name=name)(function) for name, function in work.FUNCTIONS.items()}
