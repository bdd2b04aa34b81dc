"""Jobs for pgqueuer."""

import asyncio
from collections.abc import Callable

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from bench import work


async def main() -> None:
    """Work until killed.

    The command `pgq run` fails with the typer of today. The functions block, so that each worker
    does one job at a time.
    """
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect()))
    for name, function in work.FUNCTIONS.items():
        queue.entrypoint(name)(asynchronous(function))
    await queue.run()


def asynchronous(function: Callable[[], None]) -> Callable[[Job], object]:
    """The entry point that runs a function."""

    async def run(_job: Job) -> None:
        function()

    return run


if __name__ == "__main__":
    asyncio.run(main())
