"""Who speaks, as tiles: a source that is blind is never green, and neither is what is old news."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

from dashboards.health import Blindness
from dashboards.words import duration, escaped, moment
from monitor.events import SourceState
from monitor.store.base import SourceRow

TILES = 18
"""Sources shown at most: those that are blind first, then those that say most."""
_WIDTH, _HEIGHT = 120, 22
_ORDER = (SourceState.BLIND, SourceState.QUIET, SourceState.SPEAKING, SourceState.NEW)


def blindness(rows: Sequence[SourceRow]) -> Blindness:
    """What the head of the page says of the sources."""
    return Blindness(
        stream=any(row.state is SourceState.BLIND and not row.name for row in rows),
        sources=tuple(row.name for row in rows if row.state is SourceState.BLIND and row.name),
    )


def shown(rows: Sequence[SourceRow]) -> list[SourceRow]:
    """The sources that get a tile, in their order."""
    named = [row for row in rows if row.name]
    named.sort(key=lambda row: (row.state is not SourceState.BLIND, -row.seen, row.name))
    return named[:TILES]


def summary(rows: Sequence[SourceRow]) -> str:
    """How many are in which state, as plain text."""
    counts = Counter(row.state for row in rows if row.name)
    said = ", ".join(f"{counts[state]:,} {state.value}" for state in _ORDER if counts[state])
    hidden = sum(counts.values()) - TILES
    return said + (f"; the {TILES} that say most are shown, the blind first" if hidden > 0 else "")


def tiles(rows: Sequence[SourceRow], trusted: bool) -> str:
    """The tiles as HTML. Without ``trusted`` the daemon has stopped: nobody knows who speaks."""
    return f'<div class="m-sources">{"".join(_tile(row, trusted) for row in shown(rows))}</div>'


def _tile(row: SourceRow, trusted: bool) -> str:
    blind = row.state is SourceState.BLIND
    known = trusted or blind
    css = row.state.value if known else "unknown"
    last = "nothing yet" if row.last is None else f"last {moment(row.last)}"
    return (
        f'<article class="m-source m-is-{css}"><div class="m-top">'
        f'<span class="m-name">{escaped(row.name, 60)}</span>'
        f'<span class="m-chip">{css}</span></div>'
        f"{_sparkline(row.recent)}"
        f'<p class="m-src">{last} · {html.escape(_figures(row))}</p>'
        + (f'<p class="m-src">{escaped(row.reason, 160)}</p>' if blind and row.reason else "")
        + "</article>"
    )


def _figures(row: SourceRow) -> str:
    if row.state is SourceState.BLIND:
        return f"{row.missing:,.0f} expected since, none came"
    if row.state is SourceState.NEW:
        return f"{row.seen:,} in 24 h, too new to expect any"
    return f"{row.seen:,} of {row.expected:,.0f} expected in 24 h"


def _sparkline(recent: Sequence[int]) -> str:
    """Documents in each of the last hours, as bars of an inline picture."""
    top = max(*recent, 1) if recent else 1
    step = _WIDTH / max(len(recent), 1)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{_HEIGHT - n / top * _HEIGHT:.1f}" '
        f'width="{step * 0.8:.1f}" height="{n / top * _HEIGHT:.1f}"></rect>'
        for i, n in enumerate(recent)
        if n > 0
    )
    label = f"documents an hour over {duration(3600 * len(recent))}, at most {top}"
    return (
        f'<svg class="m-spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}">{bars}</svg>'
    )
