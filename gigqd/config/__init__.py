"""The daemon's configuration: TOML and environment variables in, checked values out."""

from gigqd.config.checks import warnings
from gigqd.config.compare import Changes, compare
from gigqd.config.load import config_path, identify, load, locate
from gigqd.config.log import LogConfig
from gigqd.config.log_file import DEVICES
from gigqd.config.pool import PoolConfig
from gigqd.config.schema import (
    CodeConfig,
    Config,
    DaemonConfig,
    QueueConfig,
    RetentionConfig,
    SecurityConfig,
)

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
    "locate",
    "warnings",
]
