"""Frames in, Vega-Lite charts out, specified with Altair.

No chart's specification depends on its data: Streamlit then hands new rows to the view that is
already drawn, instead of building another one, which is what flickers, burns CPU and leaks. So
axes are fixed or follow from the rows, and whatever must be scaled is scaled in the frame. It also
means that Altair builds and checks each specification once, not at every refresh (120 ms each).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import altair as alt
import pandas as pd

from dashboards.palette import Palette
from monitor.events import TOPICS

Chart = dict[str, Any]
"""A Vega-Lite specification with its data sets as frames, for ``st.vega_lite_chart``."""

ENOUGH: Final = 8
"""Documents below which a bucket is "insufficient evidence": at 8, the 90 % interval of a share of
one half already spans half of the axis."""
_VOLUME_HEIGHT = 0.26  # of the panel: the bars stay under the line
_FLOW_HEIGHT = 150
_HEAT_TOP = 0.8  # a negative share from here on has the strongest colour
_TIME = alt.Axis(
    title=None,
    format={
        "milliseconds": "%H:%M:%S",
        "seconds": "%H:%M:%S",
        "minutes": "%H:%M",
        "hours": "%H:%M",
        "day": "%a %d",
        "date": "%a %d",
        "week": "%a %d",
        "month": "%b %Y",
        "quarter": "%b %Y",
        "year": "%Y",
    },
    labelOverlap="greedy",
    labelFlush=True,
    labelBound=True,  # one that does not fit is left out, not cut off
    grid=False,
    tickCount=6,
    labelPadding=5,
)


def _x(field: str, axis: alt.Axis | None = _TIME) -> alt.X:
    return alt.X(f"{field}:T", axis=axis, scale=alt.Scale(type="utc", nice=False))


def _when() -> alt.Tooltip:
    return alt.Tooltip("when:N", title="From (UTC)")


def mood(buckets: pd.DataFrame, spans: pd.DataFrame, palette: Palette, height: int) -> Chart:
    """Negative share of one key over time, its 90 % interval, and the volume beneath.

    ``buckets`` as `frames.panel` gives them: start, end, when, n, share, low, high, faint;
    ``spans``: start, end, words (the alerts that fire).
    """
    return _with(_mood(palette, height), buckets=_scaled(buckets, 0.0, 1.0), spans=spans)


@lru_cache(maxsize=8)
def _mood(palette: Palette, height: int) -> Chart:
    y = alt.Y(
        "share:Q",
        title=None,
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(
            labelExpr="round(100 * datum.value) + ' %'",  # as everywhere on the page
            values=[0, 0.25, 0.5, 0.75, 1],
            domain=False,
            ticks=False,
        ),
    )
    tips = [
        _when(),
        alt.Tooltip("words:N", title="Negative"),
        alt.Tooltip("n:Q", title="Documents", format=","),
    ]
    base = alt.Chart(alt.NamedData("buckets"))
    layers = [
        _spans(palette),
        _volume(base, palette),
        base.mark_area(color=palette.negative, opacity=0.16, line=False).encode(
            _x("middle"), alt.Y("low:Q"), alt.Y2("high:Q")
        ),
        base.mark_line(color=palette.negative, strokeWidth=2, strokeJoin="round").encode(
            _x("middle"), y
        ),
        base.mark_point(color=palette.negative, filled=True, size=16, opacity=1).encode(
            _x("middle"), y
        ),
        _faint(base, palette),
        _hover(base, tips, 0.0, 1.0),
    ]
    return _framed(layers, height)


def net(buckets: pd.DataFrame, spans: pd.DataFrame, palette: Palette, height: int) -> Chart:
    """Net sentiment of one key over time: the mean of P(positive) − P(negative), from −1 to 1."""
    frame = _scaled(buckets, -1.0, 2.0).assign(zero=0.0)
    return _with(_net(palette, height), buckets=frame, spans=spans)


@lru_cache(maxsize=8)
def _net(palette: Palette, height: int) -> Chart:
    y = alt.Y(
        "net:Q",
        title=None,
        scale=alt.Scale(domain=[-1, 1], nice=False),
        axis=alt.Axis(
            format="+.1f",
            labelExpr="datum.value == 0 ? '0' : datum.label",
            values=[-1, -0.5, 0, 0.5, 1],
            domain=False,
            ticks=False,
        ),
    )
    tips = [
        _when(),
        alt.Tooltip("net_words:N", title="Net sentiment"),
        alt.Tooltip("n:Q", title="Documents", format=","),
    ]
    base = alt.Chart(alt.NamedData("buckets"))
    layers = [
        _spans(palette),
        _volume(base, palette),
        base.mark_area(color=palette.positive, opacity=0.18, clip=True).encode(
            _x("middle"), alt.Y("above:Q"), alt.Y2("zero:Q")
        ),
        base.mark_area(color=palette.negative, opacity=0.18, clip=True).encode(
            _x("middle"), alt.Y("below:Q"), alt.Y2("zero:Q")
        ),
        base.mark_line(color=palette.ink, strokeWidth=1.8, strokeJoin="round").encode(
            _x("middle"), y
        ),
        base.mark_point(color=palette.ink, filled=True, size=12, opacity=1).encode(_x("middle"), y),
        _faint(base, palette, "net_faint"),
        _hover(base, tips, -1.0, 1.0),
    ]
    return _framed(layers, height)


def heat(cells: pd.DataFrame, palette: Palette) -> Chart:
    """Topic by time: the negative share as colour; a dot where there are too few documents.

    ``cells``: topic, start, end, middle, when, n, share (null when too few), words, few.
    """
    return _with(_heat(palette), cells=cells)


@lru_cache(maxsize=2)
def _heat(palette: Palette) -> Chart:
    y = alt.Y(
        "topic:N",
        title=None,
        sort=list(TOPICS),
        scale=alt.Scale(domain=list(TOPICS), paddingInner=0.12),
        axis=alt.Axis(labelLimit=190, ticks=False, domain=False, labelPadding=8, grid=False),
    )
    base = alt.Chart(alt.NamedData("cells"))
    tips = [
        alt.Tooltip("topic:N", title="Topic"),
        _when(),
        alt.Tooltip("words:N", title="Negative"),
        alt.Tooltip("n:Q", title="Documents", format=","),
    ]
    colour = alt.Color(
        "share:Q",
        scale=alt.Scale(
            domain=[0, _HEAT_TOP], range=list(palette.scale), clamp=True, interpolate="rgb"
        ),
        legend=None,
    )
    enough = base.transform_filter("!datum.few").mark_rect(cornerRadius=1.5)
    few = base.transform_filter("datum.few").mark_point(
        color=palette.faint, filled=True, size=9, opacity=0.8
    )
    layers = [
        enough.encode(_x("start"), alt.X2("end:T"), y, color=colour, tooltip=tips),
        few.encode(_x("middle"), y, tooltip=tips),
    ]
    return _framed(layers, len(TOPICS) * 22 + 30)


def throughput(steps: pd.DataFrame, palette: Palette) -> Chart:
    """Documents scored in each step of wall time. ``steps``: start, end, when, n, words."""
    return _with(_throughput(palette), steps=steps)


@lru_cache(maxsize=2)
def _throughput(palette: Palette) -> Chart:
    y_axis = alt.Axis(tickCount=4, tickMinStep=1, format=",.0f", domain=False, ticks=False)
    bars = (
        alt.Chart(alt.NamedData("steps"))
        .mark_bar(color=palette.neutral, opacity=0.75, cornerRadiusTopLeft=1)
        .encode(
            _x("start"),
            alt.X2("end:T"),
            alt.Y("n:Q", title=None, axis=y_axis),
            alt.Y2(datum=0),
            tooltip=[_when(), alt.Tooltip("words:N", title="Scored")],
        )
    )
    return _framed([bars], _FLOW_HEIGHT)


def lag(steps: pd.DataFrame, palette: Palette) -> Chart:
    """Seconds from the publication in Kafka to the score, by wall time.

    ``steps``: start, when, mean, worst (null where nothing was scored), words.
    """
    return _with(_lag(palette), steps=steps)


@lru_cache(maxsize=2)
def _lag(palette: Palette) -> Chart:
    y_axis = alt.Axis(
        tickCount=4, format=",.6~g", domain=False, ticks=False, labelExpr="datum.label + ' s'"
    )
    base = alt.Chart(alt.NamedData("steps"))
    tips = [_when(), alt.Tooltip("words:N", title="Lag")]
    layers = [
        base.mark_line(color=palette.faint, strokeWidth=1.4, strokeDash=[4, 3]).encode(
            _x("start"), alt.Y("worst:Q", title=None, axis=y_axis)
        ),
        base.mark_line(color=palette.positive, strokeWidth=2).encode(
            _x("start"), alt.Y("mean:Q", title=None, axis=y_axis)
        ),
        base.mark_point(color=palette.positive, filled=True, size=14, opacity=1).encode(
            _x("start"), alt.Y("mean:Q", title=None, axis=y_axis), tooltip=tips
        ),
    ]
    return _framed(layers, _FLOW_HEIGHT)


def _scaled(buckets: pd.DataFrame, floor: float, span: float) -> pd.DataFrame:
    """The volume as a height on the panel's own axis: one axis, and one that never changes."""
    top = max(float(buckets["n"].max()) if len(buckets) else 0.0, 1.0)
    bar = floor + buckets["n"] / top * _VOLUME_HEIGHT * span
    return buckets.assign(bar=bar, floor=floor)


def _volume(base: alt.Chart, palette: Palette) -> alt.Chart:
    bars: alt.Chart = base.mark_bar(color=palette.neutral, opacity=0.28).encode(
        _x("start"), alt.X2("end:T"), alt.Y("bar:Q"), alt.Y2("floor:Q")
    )
    return bars


def _spans(palette: Palette) -> alt.Chart:
    shades: alt.Chart = (
        alt.Chart(alt.NamedData("spans"))
        .mark_rect(color=palette.negative, clip=True)
        .encode(
            _x("start"),
            alt.X2("end:T"),
            opacity=alt.Opacity("strength:Q", scale=None, legend=None),
            tooltip=[alt.Tooltip("words:N", title="Alert")],
        )
    )
    return shades


def _faint(base: alt.Chart, palette: Palette, field: str = "faint") -> alt.Chart:
    rings: alt.Chart = base.mark_point(
        color=palette.faint, filled=False, size=22, strokeWidth=1.3, opacity=0.75
    ).encode(_x("middle"), alt.Y(f"{field}:Q"))
    return rings


def _hover(base: alt.Chart, tips: list[alt.Tooltip], low: float, high: float) -> alt.Chart:
    """A transparent column over each bucket: the tooltip needs no aiming."""
    columns: alt.Chart = base.mark_rect(opacity=0).encode(
        _x("start"), alt.X2("end:T"), y=alt.datum(low), y2=alt.datum(high), tooltip=tips
    )
    return columns


def _framed(layers: list[alt.Chart], height: int) -> Chart:
    chart = alt.layer(*layers).properties(height=height).configure_view(stroke=None)
    with alt.theme.enable("none"):  # Altair's own theme would fix the width
        specification: Chart = chart.to_dict()
    return specification


def _with(specification: Chart, **frames: pd.DataFrame) -> Chart:
    return specification | {"datasets": frames}
