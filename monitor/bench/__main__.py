"""``python -m monitor.bench`` is ``monitor bench`` where the rest of the monitor is missing."""

import sys

import typer

from monitor.bench.command import EXAMPLES, bench
from monitor.errors import MonitorError


def main() -> None:
    """Run the one command: an error that a person can mend is one message and exit status 1."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name="bench", epilog=EXAMPLES)(bench)
    try:
        app()
    except MonitorError as error:
        sys.stderr.write(f"monitor bench: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
