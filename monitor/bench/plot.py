"""The report as a picture: texts a second with the extremes of the rounds, and latencies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from monitor.bench.contestant import BenchError
from monitor.bench.report import Report
from monitor.bench.targets import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OURS: Final = "#2266aa"
_PEER: Final = "#b8c4d0"
_INK: Final = "#333333"
_P99: Final = "#d98032"


def draw(report: Report, path: Path) -> None:
    """Write a PNG, SVG or PDF, as the name ends.

    Raises:
        BenchError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BenchError("--plot needs matplotlib: pip install 'monitor[bench]'") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    kinds = list(report.contests)
    rows = max(1, len(kinds)) + bool(report.latencies)
    bars = [len(report.contests[kind]) for kind in kinds]
    heights = [*(bars or [1]), *([max(4, len(report.latencies) + 1)] if report.latencies else [])]
    figure, axes = plt.subplots(
        rows,
        1,
        figsize=(9, 1.2 * rows + 0.36 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    panels = [row[0] for row in axes]
    try:
        for axis, kind in zip(panels, kinds, strict=False):
            _speeds(axis, report, kind)
        if report.latencies:
            _latencies(panels[-1], report)
        hardware: Any = report.hardware
        place = hardware["gpu"]["name"] if report.device == "cuda" else hardware["cpu"]
        figure.suptitle(
            f"Texts in, labels out: {place}, {report.threads}"
            f" thread{'s' if report.threads > 1 else ''}, {report.date[:10]}",
            fontsize=11,
            color=_INK,
        )
        figure.savefig(path, dpi=140)
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: the plot cannot be written ({error})") from error
    finally:
        plt.close(figure)


def _speeds(axis: Axes, report: Report, kind: Any) -> None:
    measured = [one for one in report.contests[kind] if one.refusal is None]
    measured.sort(key=lambda one: one.texts_per_second)
    centres = [one.texts_per_second for one in measured]
    low = [one.texts_per_second - min(one.rates) for one in measured]
    high = [max(one.rates) - one.texts_per_second for one in measured]
    axis.barh(
        [f"{one.name} {one.precision}" for one in measured],
        centres,
        xerr=[low, high],
        color=[_OURS if one.name == OURS else _PEER for one in measured],
        error_kw={"ecolor": _INK, "capsize": 3, "lw": 1},
        height=0.7,
    )
    right = max((max(one.rates) for one in measured), default=1.0)
    for place, one in enumerate(measured):
        at = max(one.rates) + right * 0.015
        axis.text(at, place, _short(one.texts_per_second), va="center", fontsize=8, color=_INK)
    axis.set_xlim(0, right * 1.1)
    mean = report.lengths[kind].mean
    _dress(axis, f"{kind}, {mean:.0f} tokens in the mean", "texts/s, median and extremes of rounds")


def _latencies(axis: Axes, report: Report) -> None:
    places = list(range(len(report.latencies)))
    p50 = [one.p50 * 1e3 for one in report.latencies]
    p99 = [one.p99 * 1e3 for one in report.latencies]
    axis.hlines(places, p50, p99, color=_PEER, lw=4, zorder=1)
    for name, colour, values in (("p50", _OURS, p50), ("p99", _P99, p99)):
        axis.scatter(values, places, s=42, color=colour, label=name, zorder=2)
        for place, value in zip(places, values, strict=True):
            axis.annotate(
                _short(value),
                (value, place),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=_INK,
            )
    axis.set_yticks(places, [f"{one.kind}, {one.share:.0%} load" for one in report.latencies])
    axis.set_ylim(len(places) - 0.5, -0.7)
    axis.set_xscale("log")
    axis.margins(x=0.1)
    axis.xaxis.set_major_formatter(lambda value, _place: f"{value:,g}")
    if max(p99) < 10 * min(p50):  # hardly a power of ten lies within
        axis.xaxis.set_minor_formatter(lambda value, _place: f"{value:,g}")
    axis.tick_params(which="minor", labelsize=8, labelcolor=_INK)
    axis.legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1, 1.15), ncols=2)
    _dress(
        axis, "open loop, Poisson arrivals of single texts", "ms from arrival to verdict, log scale"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _dress(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, loc="left", fontsize=10, color=_INK)
    axis.set_xlabel(label, fontsize=8, color=_INK)
    axis.tick_params(labelsize=8, colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
