"""What a person sees of a running training: a progress bar and a line for each candidate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from models.progress import progress_bar
from models.training.board import Board
from models.training.candidate import Candidate, Observer, Progress


@contextmanager
def observed(
    console: Console, board: Board, scores: Callable[[Candidate], str]
) -> Iterator[Observer]:
    """Yield the observer of a training, which moves a bar and writes to the board.

    Args:
        console: where the bar and the candidates are shown.
        board: closed at the end, whatever happens.
        scores: how the held-out scores of a candidate are told.
    """
    try:
        with progress_bar(console) as bar:
            line = bar.add_task("training", total=None)

            def observe(progress: Progress) -> None:
                bar.update(
                    line,
                    completed=progress.step,
                    total=progress.steps,
                    description=f"loss {progress.loss:.3f}",
                )
                board(progress)
                found = progress.candidate
                if found is not None:
                    bar.console.print(
                        f"member {found.member}, epoch {found.epoch}, {found.kind} weights: loss"
                        f" {found.loss:.4f}, held-out {scores(found)}"
                    )

            yield observe
    finally:
        board.close()
