"""The report for a terminal."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from monitor.bench.memory import MOST, growth, is_flat
from monitor.bench.report import Report
from monitor.bench.rounds import Measured, ratios
from monitor.bench.targets import OURS, Target

_STYLES = {"met": "green", "missed": "bold red", "not measured": "dim"}


def show(report: Report, console: Console) -> None:
    """Print every part of the report that was measured."""
    _head(report, console)
    for kind in report.contests:
        console.print(_contest(report, kind))
        for one in report.contests[kind]:
            if one.refusal is not None:
                console.print(f"[red]{one.name} {one.precision}: {one.refusal}[/red]")
    for absent in report.absent:
        console.print(f"[dim]{absent.name} {absent.precision}: {absent.reason}[/dim]")
    if report.parts:
        console.print(_parts(report))
    if report.latencies:
        console.print(_latencies(report))
    if report.memory:
        _memory(report, console)
    if report.targets:
        console.print(_targets(report.targets))
    for reason in report.ours_refused:
        console.print(f"[bold red]monitor is refused: {reason}[/bold red]")


def _head(report: Report, console: Console) -> None:
    hardware: Any = report.hardware
    flags = [name for name, there in hardware["cpu_flags"].items() if there]
    gpu = f", {hardware['gpu']['name']}" if hardware["gpu"] else ""
    plural = "s" if report.threads > 1 else ""
    console.print(
        f"{report.date}  {hardware['cpu']} ({hardware['cores']} cores; {' '.join(flags)}){gpu}"
        f"  {report.device}, {report.threads} thread{plural}, torch {report.versions['torch']},"
        f" model {report.model}",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
    for precision, kernels in report.peaks.items():
        name, rate = max(kernels.items(), key=lambda pair: pair[1])
        console.print(
            f"GEMM peak {precision}: {_flops(rate)} ({name})", style="dim", highlight=False
        )


def _contest(report: Report, kind: Any) -> Table:
    measured, lengths = report.contests[kind], report.lengths[kind]
    ours = [one for one in measured if one.name == OURS and one.refusal is None]
    table = _table(
        f"{kind}: {lengths.shortest} to {lengths.longest} tokens, {lengths.mean:.0f} in the mean;"
        " medians of rounds (least to most)"
    )
    table.add_column("contestant", no_wrap=True)
    for name in ("texts/s", "tokens/s", "CPU s / 1,000", "FLOP/s", "of peak", "agreement"):
        table.add_column(name, justify="right")
    for one in ours:
        table.add_column(f"monitor {one.precision} is", justify="right")
    peaks = {precision: max(kernels.values()) for precision, kernels in report.peaks.items()}
    for one in sorted(measured, key=lambda m: m.texts_per_second if m.rounds else 0, reverse=True):
        name = f"{one.name} {one.precision}"
        if one.refusal is not None:
            table.add_row(name, "[red]not reported[/red]")
            continue
        peak = peaks.get(one.precision)
        table.add_row(
            f"[bold]{name}[/bold]" if one.name == OURS else name,
            _rates(one.texts_per_second, one.rates),
            _count(one.tokens_per_second),
            f"{one.cpu_per_thousand:.2f}",
            _flops(one.flops_per_second),
            f"{one.flops_per_second / peak:.0%}" if peak else "–",
            f"{one.agreement:.4f} of {one.compared}",
            *(_times(own, one) for own in ours),
        )
    return table


def _times(own: Measured, other: Measured) -> str:
    if own is other:
        return "–"
    return f"{median(ratios(own, other)):.2f} x"


def _parts(report: Report) -> Table:
    table = _table("monitor, taken apart")
    for name in ("corpus", "part"):
        table.add_column(name)
    for name in ("texts/s", "of the GEMM peak"):
        table.add_column(name, justify="right")
    for part in report.parts:
        table.add_row(
            part.kind,
            f"{part.part} {part.precision}",
            _rates(part.texts_per_second, part.rates),
            "–" if part.roof is None else f"{part.roof:.0%}",
        )
    return table


def _latencies(report: Report) -> Table:
    table = _table("open loop: Poisson arrivals of single texts, from arrival to verdict")
    table.add_column("corpus")
    for name in ("load", "arrivals/s", "texts", "p50", "p99", "worst"):
        table.add_column(name, justify="right")
    for one in report.latencies:
        table.add_row(
            one.kind,
            f"{one.share:.0%}",
            _count(one.rate),
            str(one.texts),
            *(f"{seconds * 1e3:,.1f} ms" for seconds in (one.p50, one.p99, one.worst)),
        )
    return table


def _memory(report: Report, console: Console) -> None:
    table = _table("resident memory while scoring the mix")
    for name in ("texts", "MB"):
        table.add_column(name, justify="right")
    for mark in report.memory:
        table.add_row(f"{mark.texts:,}", f"{mark.resident:,.0f}")
    console.print(table)
    most = max(mark.resident for mark in report.memory)
    flat = "flat" if is_flat(report.memory) else "growing"
    verdict = "met" if most <= MOST and flat == "flat" else "missed"
    console.print(
        f"the last third adds {growth(report.memory):+.1f} MB: {flat};"
        f" at most {most:,.0f} MB of {MOST:,.0f}: [{_STYLES[verdict]}]{verdict}[/]"
    )


def _targets(targets: list[Target]) -> Table:
    table = _table("what to reach, on the mix")
    for name in ("against", "monitor"):
        table.add_column(name)
    for name in ("to reach", "reached"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in targets:
        table.add_row(
            one.what,
            one.precision,
            f">= {_figure(one.wanted, one.unit)}",
            "–" if one.reached is None else _figure(one.reached, one.unit),
            f"[{_STYLES[one.verdict]}]{one.verdict}[/]" + (f": {one.why}" if one.why else ""),
        )
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.min_width = len(title)  # else a narrow table folds its title
    return table


def _figure(value: float, unit: str) -> str:
    return f"{value:.0%}" if unit == "%" else f"{value:.2f} x"


def _rates(middle: float, rates: list[float]) -> str:
    return f"{_count(middle)} ({_count(min(rates))} to {_count(max(rates))})"


def _count(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _flops(value: float) -> str:
    return f"{value / 1e12:,.1f} T" if value >= 1e12 else f"{value / 1e9:,.0f} G"
