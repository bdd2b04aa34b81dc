"""Check that this is Linux, and that the files and dependencies of this installation are complete.

The package index has another distribution that installs a package `gigq`. Each of the two replaces
files of the other, and removes them when it is uninstalled. This module does not import `gigq`.
"""

from __future__ import annotations

import csv
import os
import sys
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("gigq/", "gigqd/")
_NAMED = 3
_DEPENDENCIES = {"daemon": "python-daemon", "psutil": "psutil", "structlog": "structlog"}


def problem() -> str | None:
    """Return the problem of the host or the installation with its remedy; None without one."""
    if sys.platform != "linux":
        return f"gigqd runs on Linux only, and this is {sys.platform}"
    folder = Path(__file__).parents[2]
    if folder.is_file():
        return (
            f"{folder} is an archive; gigq reads files beside its modules. Install the wheel, or"
            " use a packer whose archives unpack themselves, such as shiv"
        )
    found = _other_distribution(folder) or _missing_files(folder) or _other_package(folder)
    return _with_remedy(found) if found else _missing_dependencies()


def _with_remedy(found: str) -> str:
    pip = f"{sys.executable} -m pip"
    return (
        f"{found}. The distributions gigq and gigqd both install a package 'gigq' and cannot be "
        f"installed side by side; repair the installation with\n"
        f"  {pip} uninstall --yes gigq gigqd\n"
        f"  {pip} install CLONE    (the folder of the clone or the wheel of gigqd)\n"
        "A running daemon is not affected; `kill PID` stops it and lets jobs finish"
    )


def _missing_dependencies() -> str | None:
    missing = [name for module, name in _DEPENDENCIES.items() if find_spec(module) is None]
    if not missing:
        return None
    names = " ".join(missing)
    return (
        f"packages that gigqd needs are missing: {', '.join(missing)}; install them with\n"
        f"  {sys.executable} -m pip install {names}"
    )


def _other_distribution(folder: Path) -> str | None:
    others = sorted([*folder.glob("gigq-*.dist-info"), *folder.glob("gigq-*.egg-info")])
    if not others:
        return None
    version = others[0].stem.removeprefix("gigq-")
    return f"the distribution gigq {version} is installed in {folder} too"


def _missing_files(folder: Path) -> str | None:
    missing = [name for name, size in _recorded(folder) if _is_missing(folder / name, size)]
    if not missing:
        return None
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return f"files of gigqd are missing or empty in {folder}: {', '.join(missing[:_NAMED])}{more}"


def _is_missing(file: Path, size: str) -> bool:
    """Return True also for an empty file that was not: a full disk or a power failure leaves it."""
    try:
        return file.stat().st_size == 0 and size not in ("", "0")
    except OSError:
        return True


def _recorded(folder: Path) -> list[tuple[str, str]]:
    """Return the name and the size of each file of both packages that the installer has noted.

    Compiled files are left out: Python writes them again.
    """
    rows: list[list[str]] = []
    for record in folder.glob("gigqd-*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            rows += [row for row in csv.reader(lines) if row]
    return [
        (row[0], row[-1])
        for row in rows
        if row[0].startswith(_PACKAGES) and not row[0].endswith(".pyc")
    ]


def _other_package(folder: Path) -> str | None:
    spec = find_spec("gigq")
    if spec is None or spec.origin is None:
        return f"{folder / 'gigq'} has no __init__.py"
    found = Path(spec.origin).parent
    if os.path.realpath(found) == os.path.realpath(folder / "gigq"):
        return None
    return f"Python finds the package 'gigq' in {found}, and not beside gigqd in {folder}"
