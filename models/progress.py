"""Progress bars; on standard error, so that standard output stays the report's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Observer = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


def progress_bar(console: Console, *, transient: bool = False) -> Progress:
    """Return a bar with the count, the time spent and the time left.

    `transient`: it is wiped out at the end.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=transient,
    )


@contextmanager
def track() -> Iterator[Callable[[str], Observer]]:
    """Yield a function that adds a line of this name and returns what moves it."""
    with progress_bar(Console(stderr=True), transient=True) as bar:

        def add(name: str) -> Observer:
            line = bar.add_task(name, total=None)

            def advance(done: int, total: int) -> None:
                bar.update(line, completed=done, total=total)

            return advance

        yield add
