"""The daemon's configuration: TOML and environment variables in, checked values out."""

from gigqd.config.config_warnings import warnings
from gigqd.config.diff import Changes, compare, without_restart
from gigqd.config.load import config_path, identify, load
from gigqd.config.schema import (
    CodeConfig,
    Config,
    DaemonConfig,
    LogConfig,
    PoolConfig,
    QueueConfig,
    RetentionConfig,
    SecurityConfig,
)
from gigqd.config.validate import DEVICES

__all__ = [
    "DEVICES",
    "Changes",
    "CodeConfig",
    "Config",
    "DaemonConfig",
    "LogConfig",
    "PoolConfig",
    "QueueConfig",
    "RetentionConfig",
    "SecurityConfig",
    "compare",
    "config_path",
    "identify",
    "load",
    "warnings",
    "without_restart",
]
