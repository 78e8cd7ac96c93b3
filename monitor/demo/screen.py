"""The demo's live terminal screen."""

from __future__ import annotations

import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

SHOWN_ALERTS = 8

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The daemon is on this machine: a proxy named in the environment could not reach it."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the daemon's metrics say at one moment."""

    scored: float = 0.0
    rejected: Mapping[str, float] = field(default_factory=dict)
    event_lag: float | None = None
    watermark: float | None = None
    offset_lag: float = 0.0
    firing: float = 0.0


def read_gauges(url: str) -> Gauges | None:
    """Read the daemon's metrics; None while it does not answer."""
    try:
        with _direct.open(url, timeout=2) as response:
            text = response.read().decode()
    except (OSError, HTTPException):
        return None
    totals: dict[str, float] = {}
    rejected: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
            if sample.name == "monitor_documents_rejected_total" and sample.value:
                rejected[sample.labels["reason"]] = sample.value
    scored = totals.get("monitor_documents_scored_total", 0.0)
    return Gauges(
        scored=scored,
        rejected=rejected,
        event_lag=totals.get("monitor_event_time_lag_seconds") if scored else None,
        watermark=totals.get("monitor_watermark_timestamp_seconds") or None,
        offset_lag=totals.get("monitor_offset_lag_records", 0.0),
        firing=totals.get("monitor_alerts_firing", 0.0),
    )


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert as the receiver got it, its signature verified."""

    received_at: datetime
    status: str
    severity: str
    summary: str


class Screen:
    """Draws the state; holds the last counts (forty draws) for the rate."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        speed: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses = addresses
        self._monotonic = monotonic
        self._speed = speed
        self._counts: deque[tuple[float, float]] = deque(maxlen=40)
        self.alerts: deque[AlertLine] = deque(maxlen=SHOWN_ALERTS)

    def rate(self) -> float:
        """Documents scored a second, over the last seconds."""
        if len(self._counts) < 2:
            return 0.0
        (t0, n0), (t1, n1) = self._counts[0], self._counts[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    def render(self, gauges: Gauges | None, published: int, event_now: datetime) -> RenderableType:
        """The whole screen."""
        if gauges is not None:
            self._counts.append((self._monotonic(), gauges.scored))
        state = Table.grid(padding=(0, 3))
        state.add_column(style="dim", justify="right")
        state.add_column()
        for name, value in self._rows(gauges, published, event_now):
            state.add_row(name, value)
        alerts = Table(expand=True, box=None, padding=(0, 1), show_header=False)
        alerts.add_column(width=8, style="dim")
        alerts.add_column(width=9)
        alerts.add_column(ratio=1, overflow="fold")
        for line in reversed(self.alerts):
            style = "green" if line.status == "resolved" else "bold red"
            if line.status != "resolved" and line.severity == "warning":
                style = "yellow"
            alerts.add_row(
                line.received_at.strftime("%H:%M:%S"),
                Text(line.status, style=style),
                Text(line.summary),
            )
        if not self.alerts:
            alerts.add_row(
                "", "", Text("none yet: the first crisis comes on the second day", "dim")
            )
        links = Table.grid(padding=(0, 3))
        links.add_column(style="dim", justify="right")
        links.add_column()
        for name, address in self._addresses.items():
            links.add_row(name, Text(address, style="cyan"))
        return Group(
            Panel(state, title="monitor demo", title_align="left"),
            Panel(alerts, title="Alerts delivered, signatures verified", title_align="left"),
            Panel(links, title="Open", title_align="left"),
            Text(" Ctrl-C ends everything.", style="dim"),
        )

    def _rows(
        self, gauges: Gauges | None, published: int, event_now: datetime
    ) -> list[tuple[str, RenderableType]]:
        clock = f"{event_now:%a %d %b %H:%M} UTC, {self._speed:,.0f} times as fast"
        if gauges is None:
            return [
                ("simulated time", Text(clock)),
                ("daemon", Text("starting: loading the model …", style="yellow")),
            ]
        lag = "–" if gauges.event_lag is None else _duration(gauges.event_lag)
        rejected = ", ".join(f"{n:.0f} {reason}" for reason, n in sorted(gauges.rejected.items()))
        return [
            ("simulated time", Text(clock)),
            ("documents a second", Text(f"{self.rate():.1f}", style="bold")),
            (
                "documents",
                Text(
                    f"{published:,} published, {gauges.scored:,.0f} scored, "
                    f"{sum(gauges.rejected.values()):,.0f} rejected, "
                    f"{gauges.offset_lag:,.0f} waiting"
                ),
            ),
            ("time lag", Text(f"{lag} of simulated time")),
            ("rejected", Text(rejected or "none")),
            ("alerts firing", Text(f"{gauges.firing:.0f}")),
        ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
