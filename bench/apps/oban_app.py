"""Jobs for Oban."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from oban import Oban, worker

from bench import work


def made(kind: str, function: Callable[[], None]) -> Any:
    """The worker class that runs a function, which blocks: each process does one job at a time."""

    async def process(_self: object, _job: object) -> None:
        function()

    return worker(queue="default")(type(kind.title(), (), {"process": process}))


WORKERS = {kind: made(kind, function) for kind, function in work.FUNCTIONS.items()}


async def main() -> None:
    """Work until killed."""
    pool = await Oban.create_pool(os.environ["BENCH_URL"])
    async with Oban(pool=pool, queues={"default": 10}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
