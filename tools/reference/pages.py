"""All generated pages."""

from __future__ import annotations

import gigq.cli.parser
import gigqd.cli.parser
from reference import api, api_names, commands, configuration, exit_codes, log_events, man, schema


def texts() -> dict[str, str]:
    """Return the text of every generated page, by its path in the repository."""
    programs = {
        "gigq": (gigq.cli.parser.build_parser(), gigq.cli.parser.VARIABLES),
        "gigqd": (gigqd.cli.parser.build_parser(), gigqd.cli.parser.VARIABLES),
    }
    pages = {
        "configuration.md": configuration.text(),
        "log-events.md": log_events.text(),
        "exit-codes.md": exit_codes.text(),
        "schema.md": schema.text(),
        **{name: api.text(name) for name in api_names.PAGES},
        **{f"{name}.md": commands.text(*program) for name, program in programs.items()},
    }
    manuals = {f"docs/man/{name}.1": man.text(*program) for name, program in programs.items()}
    return {f"docs/reference/{name}": text for name, text in pages.items()} | manuals
