"""A progress bar on standard error, so that standard output stays the report's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Observer = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


@contextmanager
def track() -> Iterator[Callable[[str], Observer]]:
    """Yield a function that adds a line of this name and returns what moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def add(name: str) -> Observer:
            line = bar.add_task(name, total=None)

            def advance(done: int, total: int) -> None:
                bar.update(line, completed=done, total=total)

            return advance

        yield add
