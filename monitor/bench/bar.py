"""What a person sees while the benchmark runs: a bar with the time left, on standard error."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Columns

from monitor.bench.run import Progress


class Bar(Progress):
    """One bar over all seconds of work planned; where there is no terminal, nothing."""

    def __init__(self, console: Console) -> None:
        self._columns = Columns(
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._columns.add_task("loading", total=None)

    def __enter__(self) -> Self:
        self._columns.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._columns.stop()

    def plan(self, seconds: float) -> None:
        self._columns.update(self._task, total=seconds)

    def advance(self, what: str, seconds: float) -> None:
        self._columns.update(self._task, description=what, advance=seconds)
