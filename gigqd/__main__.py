"""`python -m gigqd` is the `gigqd` command."""

import gc
import sys


def main() -> int:
    """Run the command, once it is clear that all of its files are there."""
    gc.disable()  # of no use to imports and short commands; the daemon enables it after its start
    from gigqd.host import installation

    if problem := installation.problem():
        return _refuse(problem)
    from gigqd.cli import main as run

    return run()


def _refuse(problem: str) -> int:
    from gigqd import exit_codes

    if "--json" in sys.argv:
        import json

        answer = {"ok": False, "code": exit_codes.BAD_INSTALLATION, "error": problem}
        sys.stdout.write(f"{json.dumps(answer)}\n")
    else:
        sys.stderr.write(f"gigqd: {problem}\n")
    return exit_codes.BAD_INSTALLATION


if __name__ == "__main__":
    sys.exit(main())
