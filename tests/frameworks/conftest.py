"""Every test here may ask for daemons."""

from support.daemon import daemons

__all__ = ["daemons"]
