"""A search as a figure: every trial across the hyper-parameters, and which of them matter."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.evaluation.canvas import BLUE, GREY, INK, PALE, RED, figure, grid, save, title
from models.training.search.outcome import Found, Outcome
from models.training.search.space import Choice, Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SCORE: Final = "held-out\nmacro-F1"


def draw(found: Found, path: Path) -> Path:
    """Draw trials and importances into a PNG; returns its path.

    Raises:
        ModelError: matplotlib is missing, or the file cannot be written.
    """
    bars = dict(list(found.importances.items())[:12])
    low = 1.2 + 0.26 * max(3, len(bars))
    width = max(8.0, 1.35 * (len(found.space.dimensions) + 1))
    drawn, (lines, importance) = figure(width, 5.0 + low, 2, height_ratios=(4.2, low))
    best = found.best
    counts = [sum(t.state == state for t in found.trials) for state in ("complete", "pruned")]
    title(
        drawn,
        "Search for hyper-parameters",
        f"{counts[0]} trials complete, {counts[1]} pruned (grey); the best, number"
        f" {best.number}: {best.score:.4f} (red)"
        if best is not None
        else "no trial is complete",
    )
    _coordinates(lines, found, best)
    _importances(importance, bars)
    return save(drawn, path)


def _coordinates(axes: "Axes", found: Found, best: Outcome | None) -> None:
    import matplotlib as mpl

    dimensions = found.space.dimensions
    scored = [trial for trial in found.trials if trial.score is not None]
    scores = [trial.score or 0.0 for trial in scored]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    width = (high - low) or 1.0
    colours = mpl.colormaps["viridis"]
    worst = min((t.score or 0.0 for t in scored if t.state == "complete"), default=low)
    end = len(dimensions)
    for x in range(end + 1):
        axes.plot([x, x], [0, 1], color=GREY, linewidth=0.9, zorder=1)
    for trial in sorted(scored, key=lambda t: (t is best, t.state == "complete", t.score)):
        points = [
            (x, dimension.place(trial.values[dimension.name]))
            for x, dimension in enumerate(dimensions)
            if dimension.name in trial.values
        ]
        height = ((trial.score or 0.0) - low) / width
        xs, ys = zip(*points, (end, height), strict=True)
        colour = PALE if trial.state == "pruned" else colours(_shade(trial, worst, high))
        thick, size, zorder = 1.1, 3.5, 2 + (trial.state == "complete")
        if trial is best:
            colour, thick, size, zorder = RED, 2.6, 6.0, 4
        axes.plot(xs, ys, color=colour, linewidth=thick, markersize=size, marker="o", zorder=zorder)
    for x, dimension in enumerate(dimensions):
        for place, text in _ticks(dimension):
            _tick(axes, x, place, text)
    for place in (0.0, 0.5, 1.0):
        _tick(axes, end, place, f"{low + place * width:.3f}")
    names = [dimension.name.replace("_", "\n") for dimension in dimensions]
    axes.set_xticks(range(end + 1), [*names, _SCORE])
    axes.tick_params(axis="x", length=0, labelsize=9)
    axes.set_yticks([])
    axes.set_xlim(-0.2, end + 0.55)
    axes.set_ylim(-0.04, 1.04)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _shade(trial: Outcome, worst: float, best: float) -> float:
    """Return the place among the complete trials; pruned ones would squeeze them together."""
    return 0.1 + 0.8 * ((trial.score or 0.0) - worst) / ((best - worst) or 1.0)


def _importances(axes: "Axes", bars: dict[str, float]) -> None:
    axes.set_title(
        "Share of the score's variance (fANOVA, complete trials, what all of them drew)",
        loc="left",
        fontsize=10,
    )
    if not bars:
        axes.set_axis_off()
        axes.text(0, 0.8, "Too few complete trials to tell.", color=GREY, transform=axes.transAxes)
        return
    names = list(bars)[::-1]
    drawn = axes.barh(names, [bars[name] for name in names], color=BLUE, height=0.65)
    axes.bar_label(drawn, fmt="{:.0%}", padding=3, color=INK, fontsize=9)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter("{x:.0%}")
    grid(axes, "x")


def _ticks(dimension: Choice | Range) -> list[tuple[float, str]]:
    if isinstance(dimension, Choice):
        return [(dimension.place(value), f"{value}") for value in dimension.values]
    middle = (
        (dimension.low * dimension.high) ** 0.5
        if dimension.log
        else (dimension.low + dimension.high) / 2
    )
    return [(dimension.place(v), f"{v:.2g}") for v in (dimension.low, middle, dimension.high)]


def _tick(axes: "Axes", x: float, place: float, text: str) -> None:
    axes.text(
        x + 0.06,
        place,
        text,
        fontsize=8,
        color=INK,
        va="center",
        zorder=9,
        bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
    )
