"""All daemons of a queue, on every host, for `gigqd status --all`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd import exit_codes
from gigqd.cli.output import Result, print_answer, print_json
from gigqd.config import identify

if TYPE_CHECKING:
    from gigqd.cli.options import Namespace


def status(options: Namespace) -> int:
    """Show the daemons as the database lists them; 0 when one of them runs.

    Raises:
        ConfigError: the configuration cannot be parsed.
    """
    # Late: `gigqd status` without the option opens no database.
    from gigq.cli import workers
    from gigq.errors import StoreError

    try:
        found, paused = workers.found_at(identify(options.config, os.environ).queue.database)
    except StoreError as error:
        refused = Result(exit_codes.DATABASE_UNAVAILABLE, str(error))
        return refused.write(as_json=options.json)
    daemons = [one for one in found if one["kind"] == "gigqd"]
    runs = any(one["alive"] for one in daemons)
    code = exit_codes.STATUS_RUNNING if runs else exit_codes.STATUS_STOPPED
    if options.json:
        print_json({"ok": runs, "code": code, "daemons": daemons, "paused": paused})
    else:
        print_answer(workers.text(daemons, paused, "no daemon serves this queue"))
    return code
