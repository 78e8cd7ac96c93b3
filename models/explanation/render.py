"""Explanations and deletion tests for a terminal, as Markdown and as figures."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from models.evaluation.canvas import BLUE, GREEN, GREY, INK, ORANGE, figure, grid, save, title
from models.evaluation.document import table
from models.evaluation.metrics import Interval
from models.explanation.deletion import OURS, RANDOM, Deletion
from models.explanation.record import Explanation

_FOR: Final = (0, 114, 178)
_AGAINST: Final = (213, 94, 0)  # told apart by readers with any colour vision
_COLOURS: Final = {
    OURS: BLUE, "gradient x input": GREEN, "attention rollout": ORANGE, RANDOM: GREY,
}  # fmt: skip
_WIDTH: Final = 96
"""Characters in a line of the picture."""


def tint(score: float, largest: float) -> tuple[int, int, int]:
    """Return the background of a word: white at 0, blue for the class, vermilion against it."""
    depth = 0.0 if largest <= 0 else min(1.0, abs(score) / largest)
    full = _FOR if score > 0 else _AGAINST
    red, green, blue = (round(255 + (part - 255) * depth) for part in full)
    return red, green, blue


def print_explanation(console: Console, text: str, found: Explanation) -> None:
    """Print the text, its words coloured by what they say, and what stands behind the colours."""
    largest = _largest(found)
    drawn = Text()
    last = 0
    for word in found.words:
        drawn.append(text[last : word.start], Style(dim=True))
        red, green, blue = tint(word.score, largest)
        ink = "white" if red + green + blue < 380 else "black"
        drawn.append(
            text[word.start : word.end], Style(color=ink, bgcolor=f"rgb({red},{green},{blue})")
        )
        last = word.end
    drawn.append(text[last:], Style(dim=True))
    console.print(Text(caption(found), Style(bold=True)))
    console.print(drawn)
    strongest = sorted(found.words, key=lambda word: -abs(word.score))[:8]
    console.print(
        Text("  ".join(f"{word.text} {word.score:+.2f}" for word in strongest), Style(dim=True))
    )
    console.print(Text(foot(found), Style(dim=True)))


def caption(found: Explanation) -> str:
    """Return class, task and probability."""
    return f"{found.class_} ({found.task}), p = {found.probability:.3f}"


def foot(found: Explanation) -> str:
    """Return how the scores were found, their error included."""
    return (
        f"log-odds of {found.class_} against the text of {found.baseline} tokens:"
        f" {found.difference:+.2f}; completeness error {found.completeness_error:.1%}"
        f" with {found.steps} steps; blue speaks for the class, orange against it"
    )


def draw_explanation(text: str, found: Explanation, path: Path) -> Path:
    """Write the coloured text as PNG; raises ModelError where that cannot be done."""
    cells = [
        (text[word.start : word.end], tint(word.score, _largest(found)), word.score)
        for word in found.words
    ]
    lines: list[list[tuple[int, str, tuple[int, int, int], float]]] = [[]]
    column = 0
    for shown, colour, score in cells:
        if column and column + len(shown) > _WIDTH:
            lines.append([])
            column = 0
        lines[-1].append((column, shown, colour, score))
        column += len(shown) + 1
    drawn, (axes,) = figure(10, 1.3 + 0.42 * len(lines))
    title(drawn, caption(found), foot(found))
    axes.set_axis_off()
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(len(lines), 0)
    for row, line in enumerate(lines):
        for start, shown, colour, score in line:
            dark = sum(colour) < 380
            axes.add_patch(_box(start, row, len(shown), colour))
            axes.text(
                start + len(shown) / 2, row + 0.36, shown.replace("$", r"\$"), ha="center",
                va="center", family="DejaVu Sans Mono", fontsize=10,
                color="white" if dark else INK,
            )  # fmt: skip
            axes.text(
                start + len(shown) / 2, row + 0.86, f"{score:+.1f}" if abs(score) >= 0.05 else "",
                ha="center", va="center", fontsize=6.5, color=GREY,
            )  # fmt: skip
    return save(drawn, path)


def _box(start: int, row: int, width: int, colour: tuple[int, int, int]) -> Any:
    from matplotlib.patches import Rectangle

    share = (colour[0] / 255, colour[1] / 255, colour[2] / 255)
    return Rectangle((start - 0.2, row + 0.05), width + 0.4, 0.62, facecolor=share)


def _largest(found: Explanation) -> float:
    return max(abs(word.score) for word in found.words)


# ---------------------------------------------------------------- the deletion test


def deletion_rows(found: Deletion) -> list[list[str]]:
    """Return a row for each ranking and share."""
    return [
        [
            point.ranking,
            f"{point.share:.0%}",
            _interval(point.comprehensiveness),
            _interval(point.sufficiency),
            f"{point.tokens:.1%}",
        ]
        for point in found.points
    ]


_HEAD: Final = ("words by", "share", "comprehensiveness", "sufficiency", "tokens")
_GAIN: Final = ("integrated gradients against", "comprehensiveness", "sufficiency")


def print_deletion(console: Console, found: Deletion) -> None:
    """Print the test as two tables."""
    console.print(Text(_about(found)))
    for head, rows in ((_HEAD, deletion_rows(found)), (_GAIN, _gain_rows(found))):
        shown = Table(*head)
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    console.print(Text(_errors(found), Style(dim=True)))


def deletion_markdown(found: Deletion, picture: str | None = None) -> str:
    """Return the test as Markdown."""
    lines = ["# Deletion test of the explanations", "", _about(found), ""]
    lines += table(_HEAD, deletion_rows(found))
    lines += [
        "By how much integrated gradients are better, mean over all shares, texts paired;"
        " above 0 they are better:",
        "",
    ]
    lines += table(_GAIN, _gain_rows(found))
    lines += [_errors(found), ""]
    if picture is not None:
        lines += [f"![Probability lost by words deleted and kept]({picture})", ""]
    return "\n".join(lines)


def deletion_record(found: Deletion) -> dict[str, Any]:
    """Return the test as a JSON object."""
    return {"version": 1, **asdict(found)}


def draw_deletion(found: Deletion, path: Path) -> Path:
    """Write comprehensiveness and sufficiency over the share of words as PNG."""
    drawn, axes = figure(10, 4.8, 1, 2)
    title(
        drawn,
        "Integrated gradients against other rankings of the words",
        f"{found.texts} texts, {found.task}, model {found.model}; bars: 95 % bootstrap intervals",
    )
    measures = (
        ("comprehensiveness", "deleted: more is better"),
        ("sufficiency", "kept alone: less is better"),
    )
    names = dict.fromkeys(point.ranking for point in found.points)
    for ax, (measure, below) in zip(axes, measures, strict=True):
        for place, name in enumerate(names):
            points = [point for point in found.points if point.ranking == name]
            values: Sequence[Interval] = [getattr(point, measure) for point in points]
            ax.errorbar(
                [100 * point.share + 0.35 * (place - len(names) / 2) for point in points],
                [value.value for value in values],
                [
                    [value.value - value.low for value in values],
                    [value.high - value.value for value in values],
                ],
                label=name, color=_COLOURS.get(name, INK), marker="o", capsize=3, linewidth=1.6,
            )  # fmt: skip
        ax.set_title(f"{measure.capitalize()} ({below})")
        ax.set_xlabel("share of the words, %")
        ax.set_ylabel("probability of the class lost")
        ax.set_xticks([10, 20, 30])
        ax.axhline(0, color=GREY, linewidth=0.8)
        grid(ax, "y")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    return save(drawn, path)


def _about(found: Deletion) -> str:
    return (
        f"Model {found.model}, {found.task}, {found.texts} texts ({found.passed_over} too short),"
        f" mean probability of the class {found.probability:.3f}; baseline {found.baseline}."
        " Comprehensiveness: probability lost when the words are deleted (more is better);"
        " sufficiency: lost when only they are kept (less is better)."
    )


def _errors(found: Deletion) -> str:
    middle = found.errors[len(found.errors) // 2]
    return f"Completeness error: median {middle:.1%}, largest {found.errors[-1]:.1%}."


def _gain_rows(found: Deletion) -> list[list[str]]:
    return [
        [gain.against, _interval(gain.comprehensiveness), _interval(gain.sufficiency)]
        for gain in found.gains
    ]


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
