"""Check of the installed files, which another distribution with a package `gigq` may replace.

gigqd has a check of its own, since it may import no module of `gigq` before that check.
"""

from __future__ import annotations

import sys
from pathlib import Path

_OWN_FILES = ("__init__.py", "errors.py", "model/job.py", "queue.py", "worker.py")


def problem() -> str | None:
    """Return the fault of the installed files and its remedy, or None."""
    folder = Path(__file__).parent.parent.parent
    if folder.is_file():
        return (
            f"{folder} is an archive; gigq reads files beside its modules. Install the wheel, or"
            " use a packer whose archives unpack themselves, such as shiv"
        )
    found = _other_distribution(folder) or _missing_files(folder)
    return _with_remedy(found) if found else None


def problem_of(error: Exception) -> str | None:
    """Return the fault of the installed files that an error shows, and its remedy, or None."""
    folder = Path(__file__).parent.parent.parent
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "gigq":
        return _with_remedy(f"files of gigqd are missing or damaged in {folder}: {error}")
    missing = str(error.filename) if isinstance(error, FileNotFoundError) else ""
    if Path(missing).is_relative_to(folder / "gigq"):
        return _with_remedy(f"files of gigqd are missing in {folder}: {missing}")
    return None


def _with_remedy(found: str) -> str:
    pip = f"{sys.executable} -m pip"
    return (
        f"{found}. The distributions gigq and gigqd both install a package 'gigq' and cannot be "
        f"installed side by side; put this one in order with\n"
        f"  {pip} uninstall --yes gigq gigqd\n"
        f"  {pip} install CLONE    (the folder of the clone or the wheel of gigqd)"
    )


def _other_distribution(folder: Path) -> str | None:
    others = sorted([*folder.glob("gigq-*.dist-info"), *folder.glob("gigq-*.egg-info")])
    if not others:
        return None
    version = others[0].stem.removeprefix("gigq-")
    return f"the distribution gigq {version} is installed in {folder} too"


def _missing_files(folder: Path) -> str | None:
    missing = [name for name in _OWN_FILES if not (folder / "gigq" / name).exists()]
    return f"files of gigqd are missing in {folder}: {', '.join(missing)}" if missing else None
