"""The figures of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluation.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    RED,
    figure,
    grid,
    save,
    title,
)
from models.evaluation.evaluate import Evaluation
from models.evaluation.reliability import Bin
from models.evaluation.slices import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(evaluation: Evaluation, model: str, folder: Path) -> dict[str, Path]:
    """Write all figures of one head into the folder and return them by what they show.

    Args:
        evaluation: of one head.
        model: name and version, for the titles.
        folder: exists.

    Raises:
        ModelError: matplotlib is missing, or a file cannot be written.
    """
    drawn = {
        "confusion matrix": _confusion,
        "reliability": _reliability,
        "risk and coverage": _risk_coverage,
        "F1 per class": _classes,
    }
    if evaluation.slices:
        drawn["slices"] = _slices
    below = f"{model} · {evaluation.file} · n = {evaluation.report.texts:,}"
    return {
        name: make(evaluation, below, folder / f"{evaluation.task}-{name.replace(' ', '-')}.png")
        for name, make in drawn.items()
    }


def _confusion(evaluation: Evaluation, below: str, path: Path) -> Path:
    names = list(evaluation.report.classes)
    counts = np.array(evaluation.report.confusion)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    small = len(names) > 8
    fig, (axes,) = figure(*((12.5, 11.5) if small else (6.6, 6.0)))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            label = f"{counts[row, column]}" if small else f"{counts[row, column]:,}"
            if not small:
                label += f"\n{shares[row, column]:.0%}"
            axes.text(
                column, row, label, ha="center", va="center", fontsize=8.5 if small else 12,
                color="white" if shares[row, column] > 0.55 else INK,
            )  # fmt: skip
    if small:
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), names)
    axes.set_yticks(
        range(len(names)), [f"{n}  ({s:,})" for n, s in zip(names, counts.sum(1), strict=True)]
    )
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (texts)")
    bar = fig.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    title(fig, f"Confusion matrix: {evaluation.task}", below)
    return save(fig, path)


def _reliability(evaluation: Evaluation, below: str, path: Path) -> Path:
    found = evaluation.report
    fig, axes = figure(10.0, 6.2, 2, 2, height_ratios=[3.4, 1])
    panels = (
        ("before scaling (temperature 1)", evaluation.reliability_before, found.ece_before),
        (f"after scaling (temperature {evaluation.temperature:.2f})",
         evaluation.reliability_after, found.ece_after),
    )  # fmt: skip
    for column, (name, bins, error) in enumerate(panels):
        _reliability_panel(axes[column], axes[column + 2], bins)
        axes[column].set_title(f"{name}: ECE {error:.3f}", loc="left", fontsize=11)
    axes[0].set_ylabel("accuracy in the bin")
    axes[2].set_ylabel("texts")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    title(fig, f"Reliability of the probabilities: {evaluation.task}", below)
    return save(fig, path)


def _reliability_panel(above: "Axes", beneath: "Axes", bins: Sequence[Bin]) -> None:
    full = [b for b in bins if b.count]
    width = bins[0].high - bins[0].low
    centres = [b.low + width / 2 for b in full]
    low = min(0.0 if b.low < 0.2 else b.low for b in full)
    above.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    above.bar(
        centres, [b.accuracy for b in full], width * 0.94, color=BLUE, alpha=0.9, label="accuracy"
    )
    for b, centre in zip(full, centres, strict=True):
        spread = 1.96 * (b.accuracy * (1 - b.accuracy) / b.count) ** 0.5
        above.plot([centre] * 2, [max(0, b.accuracy - spread), min(1, b.accuracy + spread)],
                   color=INK, linewidth=1)  # fmt: skip
    above.plot(
        centres, [b.confidence for b in full], color=RED, marker="o", markersize=4.5,
        linestyle="none", label="mean confidence",
    )  # fmt: skip
    above.set_ylim(0, 1.02)
    beneath.bar(centres, [b.count for b in full], width * 0.94, color=PALE)
    for b, centre in zip(full, centres, strict=True):
        beneath.text(
            centre, b.count, f"{b.count:,}", ha="center", va="bottom", fontsize=7.5, color=GREY
        )
    beneath.set_ylim(0, max(b.count for b in full) * 1.22)
    beneath.set_xlabel("top probability")
    for axes in (above, beneath):
        grid(axes, "y")
        axes.set_xlim(low - 0.02, 1.02)


def _risk_coverage(evaluation: Evaluation, below: str, path: Path) -> Path:
    curve = evaluation.risk_coverage
    fig, (axes,) = figure(8.4, 5.4)
    axes.fill_between(curve.coverage, curve.risk, color=BLUE, alpha=0.12, linewidth=0)
    axes.plot(
        curve.coverage, curve.risk, color=BLUE, linewidth=2.2, label=f"model, AURC {curve.aurc:.4f}"
    )
    axes.plot(
        curve.coverage,
        curve.oracle,
        color=GREY,
        linestyle="--",
        linewidth=1.3,
        label="all errors last",
    )
    top = max(curve.risk[len(curve.risk) // 20 :], default=0.0)
    for (level, coverage), colour in zip(curve.coverage_at.items(), (GREEN, ORANGE), strict=False):
        risk = float(level)
        if not coverage:
            continue
        axes.plot(
            [0, coverage, coverage], [risk, risk, 0], color=colour, linewidth=1.1, linestyle=":"
        )
        axes.plot([coverage], [risk], marker="o", markersize=7, color=colour,
                  label=f"at most {risk:.0%} wrong: {coverage:.1%} of the texts")  # fmt: skip
        top = max(top, risk)
    axes.set_xlim(0, 1.005)
    axes.set_ylim(0, max(0.02, top * 1.15))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("coverage: share of the texts that are judged, the surest first")
    axes.set_ylabel("risk: share of wrong verdicts among them")
    axes.legend(loc="upper left", frameon=False)
    grid(axes)
    title(fig, f"Risk and coverage: {evaluation.task}", below)
    return save(fig, path)


def _classes(evaluation: Evaluation, below: str, path: Path) -> Path:
    ordered = sorted(evaluation.report.classes.items(), key=lambda item: item[1].f1)
    fig, (axes,) = figure(9.0, 1.9 + 0.38 * len(ordered))
    places = range(len(ordered))
    axes.barh(places, [c.f1 for _, c in ordered], 0.62, color=BLUE, label="F1")
    axes.plot([c.precision for _, c in ordered], places, "o", color=ORANGE, markersize=6,
              markeredgecolor="white", label="precision")  # fmt: skip
    axes.plot([c.recall for _, c in ordered], places, "D", color=RED, markersize=5.5,
              markeredgecolor="white", label="recall")  # fmt: skip
    for place, (_, found) in zip(places, ordered, strict=True):
        axes.text(1.015, place, f"{found.f1:.3f}", va="center", fontsize=9, color=INK)
    macro = evaluation.report.macro_f1.value
    axes.axvline(macro, color=GREY, linewidth=1.2, linestyle="--", label=f"macro-F1 {macro:.3f}")
    axes.set_yticks(places, [f"{name}  ({c.support:,})" for name, c in ordered])
    axes.set_xlim(0, 1.09)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
    fig.legend(loc="outside lower center", ncols=4, frameon=False)
    title(fig, f"Precision, recall and F1 per class: {evaluation.task}", below)
    return save(fig, path)


def _slices(evaluation: Evaluation, below: str, path: Path) -> Path:
    found = [*evaluation.slices][::-1]
    fig, axes = figure(11.5, 2.1 + 0.36 * len(found), 1, 2)
    whole = (evaluation.report.accuracy, evaluation.report.macro_f1)
    for panel, name, total, values in zip(
        axes,
        ("accuracy", "macro-F1"),
        whole,
        ([s.accuracy for s in found], [s.macro_f1 for s in found]),
        strict=True,
    ):
        places = _places(found)
        panel.axvspan(total.low, total.high, color=PALE, alpha=0.55, linewidth=0)
        panel.axvline(total.value, color=GREY, linewidth=1.2, linestyle="--")
        for place, part, value in zip(places, found, values, strict=True):
            colour = RED if part.below else BLUE
            panel.barh(place, value.value, 0.66, color=colour, alpha=0.88)
            panel.plot([value.low, value.high], [place] * 2, color=INK, linewidth=1.3)
            panel.text(1.01, place, f"{value.value:.3f}", va="center", fontsize=8.5)
        panel.set_title(f"{name}: all texts {total.value:.3f}", loc="left", fontsize=11)
        panel.set_xlim(0, 1.1)
        panel.set_ylim(-0.7, places[-1] + 0.7)
        panel.set_xticks(np.linspace(0, 1, 6))
        panel.tick_params(axis="y", length=0)
        grid(panel, "x")
    labels = [f"{s.trait}: {s.value}  ({s.texts:,})" for s in found]
    axes[0].set_yticks(_places(found), labels)
    axes[1].set_yticks([])
    for tick, part in zip(axes[0].get_yticklabels(), found, strict=True):
        tick.set_color(RED if part.below else INK)
    note = "orange: significantly below the rest (5 %, Holm) · band and lines: 95 % intervals"
    title(fig, f"Slices: {evaluation.task}", f"{below} · {note}")
    return save(fig, path)


def _places(found: Sequence[Slice]) -> list[float]:
    """Return the bars' places: a gap wherever the trait changes."""
    places: list[float] = []
    for index, part in enumerate(found):
        gap = 0.5 if index and found[index - 1].trait != part.trait else 0.0
        places.append((places[-1] + 1.0 + gap) if places else 0.0)
    return places
