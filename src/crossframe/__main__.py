"""The command, as `crossframe` and as `python -m crossframe`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and end quietly where Ctrl-C comes while it is still being imported."""
    try:
        from crossframe.cli import main as run

        run()
    except KeyboardInterrupt:
        print("crossframe: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
