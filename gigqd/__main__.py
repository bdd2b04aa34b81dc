"""`python -m gigqd` is the `gigqd` command."""

import sys

from gigqd import exit_codes
from gigqd.host import installation


def main() -> int:
    """Run the command, once it is clear that all of its files are there."""
    if problem := installation.problem():
        return _refuse(problem)
    from gigqd.cli import main as run

    return run()


def _refuse(problem: str) -> int:
    if "--json" in sys.argv:
        import json

        answer = {"ok": False, "code": exit_codes.BAD_INSTALLATION, "error": problem}
        sys.stdout.write(f"{json.dumps(answer)}\n")
    else:
        sys.stderr.write(f"gigqd: {problem}\n")
    return exit_codes.BAD_INSTALLATION


if __name__ == "__main__":
    sys.exit(main())
