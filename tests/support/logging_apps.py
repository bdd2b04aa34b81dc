"""Applications that configure the logging module, each in a way of its own."""

from __future__ import annotations

_HANDLERS = {"own": {"class": "logging.StreamHandler"}}
_ROOT = {"handlers": ["own"], "level": "INFO"}
# As `django.utils.log.DEFAULT_LOGGING` has them, with the classes of the standard library.
_DJANGO = {
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"level": "INFO", "class": "logging.StreamHandler"},
        "server": {"level": "INFO", "class": "logging.StreamHandler"},
        "mail_admins": {"level": "ERROR", "class": "logging.NullHandler"},
    },
    "loggers": {
        "django": {"handlers": ["console", "mail_admins"], "level": "INFO"},
        "django.server": {"handlers": ["server"], "level": "INFO", "propagate": False},
    },
}


def dict_config(**config: object) -> str:
    """A call of `dictConfig`."""
    return f"logging.config.dictConfig({ {'version': 1, **config}!r})"


WITH_A_HANDLER = {
    "dictConfig, existing loggers disabled": dict_config(handlers=_HANDLERS, root=_ROOT),
    "dictConfig, existing loggers kept": dict_config(
        handlers=_HANDLERS, root=_ROOT, disable_existing_loggers=False
    ),
    "fileConfig": (
        "logging.config.fileConfig(io.StringIO('[loggers]\\nkeys=root\\n[handlers]\\nkeys=h\\n"
        "[formatters]\\nkeys=\\n[logger_root]\\nlevel=INFO\\nhandlers=h\\n"
        "[handler_h]\\nclass=StreamHandler\\nargs=(sys.stderr,)\\n'))"
    ),
    "basicConfig": "logging.basicConfig(level=logging.INFO)",
    "basicConfig with force": "logging.basicConfig(level=logging.INFO, force=True)",
}
"""Statements that give the root logger a handler, which writes to the standard error."""

WITHOUT_A_HANDLER = {
    "dictConfig, nothing at the root": dict_config(loggers={"app": {"level": "INFO"}}),
    "dictConfig, incremental": dict_config(incremental=True, root={"level": "INFO"}),
    "Django": dict_config(**_DJANGO),
    "no handlers": "logging.getLogger().handlers = []",
    "the end of logging": "logging.shutdown()",
    "warnings": "logging.captureWarnings(True); logging.captureWarnings(False)",
    "names of levels": "logging.addLevelName(30, '\\x1b[1mWARN'); logging.addLevelName(40, 'X')",
    "everything disabled below error": "logging.disable(logging.INFO)",
}
"""Those that do not."""

STATEMENTS = WITH_A_HANDLER | WITHOUT_A_HANDLER
"""By a description, statements for which `io`, `logging.config` and `sys` are imported."""
