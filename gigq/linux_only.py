"""Refusal of an import on other systems than Linux: the reason, not the name of a module."""

import sys

if sys.platform != "linux":
    raise ImportError(
        f"gigq runs on Linux only, and this is {sys.platform}; run it in a container or a virtual"
        " machine, on Windows in WSL"
    )
