"""Changing what a daemon's own processes do, for faults that nothing outside can bring about."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LATER = """
import importlib.abc, importlib.util, sys


class _Later(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


def change(module):
{body}


sys.meta_path.insert(0, _Later())
"""


def hooked(folder: Path, module: str, body: str) -> dict[str, str]:
    """The variables with which a Python has one module of its own changed.

    Args:
        folder: where the hook is written.
        module: the name of the module.
        body: what is done once the module is imported; its variable `module` is that module.
    """
    folder.mkdir()
    text = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    (folder / "sitecustomize.py").write_text(_LATER.format(module=module, body=text))
    return {"PYTHONPATH": str(folder)}
