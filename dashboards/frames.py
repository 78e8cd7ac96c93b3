"""From sums of buckets to the frames that the charts draw: pure, and of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from dashboards.charts import ENOUGH
from dashboards.words import duration, moment, percent, signed
from monitor.events import TOPICS, Alert, AlertStatus
from monitor.keys import topic_key

TOPIC_PREFIX: Final = topic_key("")

STEPS: Final = (
    300,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    14_400,
    21_600,
    43_200,
    86_400,
    604_800,
    2_592_000,
)
"""Widths of a drawn bucket in seconds: each is a multiple of the stored 5 minutes."""
POINTS: Final = 150
"""Buckets that a panel draws at most."""
_FEWEST = 12  # buckets: a sparse key is not drawn any wider than this
_AIM = 4 * ENOUGH  # documents in the mean bucket from which a finer step is used
_Z = 1.645  # 90 %, two-sided

WINDOWS: Final[dict[str, int | None]] = {
    "6 h": 6 * 3_600,
    "24 h": 86_400,
    "3 d": 3 * 86_400,
    "7 d": 7 * 86_400,
    "30 d": 30 * 86_400,
    "All": None,
}


@dataclass(frozen=True, slots=True)
class Span:
    """A window of event time, half open, in seconds since the epoch."""

    since: int
    until: int

    @property
    def seconds(self) -> int:
        return self.until - self.since


def window(name: str, oldest: datetime, newest: datetime) -> Span:
    """The window that ends at the newest event; a replay lives far from the wall clock."""
    length = WINDOWS[name]
    until = int(newest.timestamp()) // STEPS[0] * STEPS[0] + STEPS[0]
    if length is None:
        begin = int(oldest.timestamp()) // STEPS[0] * STEPS[0]
        length = max(until - begin, 21_600)
    return Span(until - length, until)


def finest(span: Span) -> int:
    """The narrowest step that keeps the window within ``POINTS`` buckets."""
    return next((s for s in STEPS if span.seconds / s <= POINTS), STEPS[-1])


def step_for(span: Span, documents: int, aim: int = _AIM) -> int:
    """The narrowest step at which the mean bucket holds ``aim`` documents, within bounds."""
    narrowest = finest(span)
    for step in STEPS:
        if step < narrowest:
            continue
        if documents * step / span.seconds >= aim or span.seconds / step <= _FEWEST:
            return step
    return STEPS[-1]


def wilson(negative: pd.Series, n: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The 90 % score interval of a share (Wilson, JASA 1927). Null where n is 0."""
    count = n.where(n > 0).astype(float)
    share = negative / count
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return (centre - half).clip(0, 1), (centre + half).clip(0, 1)


def panel(buckets: pd.DataFrame, key: str, span: Span, step: int) -> pd.DataFrame:
    """One row per step of the window, empty ones too: a gap is drawn as a gap. The first and the
    last step are cut to the window, so that panels of different steps have one axis of time.

    ``buckets``: key, start (seconds), n, negative, score_sum, at a step that divides this
    one. Where there are fewer than ``ENOUGH`` documents ``share`` and ``net`` are null and
    ``faint`` and ``net_faint`` hold them.
    """
    of_key = buckets[buckets["key"] == key]
    columns = ["n", "negative", "score_sum"]
    sums = of_key.groupby(of_key["start"] // step * step)[columns].sum()
    grid = range(span.since // step * step, span.until, step)
    frame = sums.reindex(grid, fill_value=0).rename_axis("begin").reset_index()
    return _measured(frame, span, step)


def heat_cells(buckets: pd.DataFrame, span: Span, step: int) -> pd.DataFrame:
    """One row per topic and step that saw a document, cut to the window as in `panel`."""
    topics = buckets[buckets["key"].str.startswith(TOPIC_PREFIX)]
    topics = topics.assign(
        topic=topics["key"].str.slice(len(TOPIC_PREFIX)), begin=topics["start"] // step * step
    )
    topics = topics[topics["topic"].isin(TOPICS) & (topics["begin"] + step > span.since)]
    columns = ["n", "negative", "score_sum"]
    frame = topics.groupby(["topic", "begin"])[columns].sum().reset_index()
    measured = _measured(frame, span, step)
    keep = ["topic", "start", "end", "middle", "when", "n", "share", "words", "few"]
    return measured.loc[measured["n"] > 0, keep]


def _measured(frame: pd.DataFrame, span: Span, step: int) -> pd.DataFrame:
    # An empty frame's columns have no type to calculate with.
    frame = frame.astype(
        {"begin": "int64", "n": "int64", "negative": "int64", "score_sum": "float64"}
    )
    n = frame["n"]
    seen = n.where(n > 0).astype(float)
    few = n < ENOUGH
    share = frame["negative"] / seen
    net = frame["score_sum"] / seen
    low, high = wilson(frame["negative"], n)
    begin = frame["begin"].clip(lower=span.since)
    end = (frame["begin"] + step).clip(upper=span.until)
    start = _times(begin)
    values = {
        "start": start,
        "end": _times(end),
        "middle": _times((begin + end) // 2),
        "when": [
            f"{at} + {duration(seconds)}"
            for at, seconds in zip(
                start.dt.strftime("%a %d %b %Y, %H:%M"), end - begin, strict=True
            )
        ],
        "n": n,
        "few": few,
        "share": share.where(~few),
        "faint": share.where(few),
        "low": low.where(~few),
        "high": high.where(~few),
        "net": net.where(~few),
        "net_faint": net.where(few),
        "above": net.where(~few).clip(lower=0),
        "below": net.where(~few).clip(upper=0),
        "words": _words(share, low, high, n),
        "net_words": [
            "no documents" if c == 0 else signed(v) + (" – insufficient evidence" * (c < ENOUGH))
            for v, c in zip(net, n, strict=True)
        ],
    }
    topic = {"topic": frame["topic"]} if "topic" in frame else {}
    return pd.DataFrame(topic | values)


def _times(seconds: pd.Series) -> pd.Series:
    return pd.to_datetime(seconds, unit="s", utc=True)


def _words(share: pd.Series, low: pd.Series, high: pd.Series, n: pd.Series) -> list[str]:
    return [
        "no documents"
        if count == 0
        else f"{percent(s)} – insufficient evidence"
        if count < ENOUGH
        else f"{percent(s)} ({lo * 100:.0f}–{hi * 100:.0f} %)"
        for s, lo, hi, count in zip(share, low, high, n, strict=True)
    ]


def alert_spans(alerts: Iterable[Alert], key: str, span: Span) -> pd.DataFrame:
    """When the key's alerts fired, cut to the window: start, end, strength, words."""
    since, until = (datetime.fromtimestamp(s, UTC) for s in (span.since, span.until))
    rows = []
    for alert in alerts:
        end = alert.resolved_at or until
        if alert.key != key or alert.fired_at is None or end <= since or alert.started_at >= until:
            continue
        firing = alert.status is AlertStatus.FIRING
        rows.append(
            (
                max(alert.started_at, since),
                max(min(end, until), max(alert.started_at, since) + timedelta(minutes=5)),
                0.15 if firing else 0.09,
                f"{alert.severity.value}, from {moment(alert.started_at)} to "
                + ("now" if alert.resolved_at is None else moment(alert.resolved_at)),
            )
        )
    frame = pd.DataFrame(rows, columns=["start", "end", "strength", "words"])
    # An empty column has no type, and without one Vega would not know it holds times.
    return frame.astype({"start": "datetime64[ms, UTC]", "end": "datetime64[ms, UTC]"})


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of one key over a window."""

    n: int
    negative: int
    score_sum: float

    @property
    def share(self) -> float | None:
        """The negative share, or ``None`` where there is not enough to say."""
        return self.negative / self.n if self.n >= ENOUGH else None

    @property
    def net(self) -> float | None:
        """The mean of P(positive) − P(negative), or ``None`` as for ``share``."""
        return self.score_sum / self.n if self.n >= ENOUGH else None


def totals(buckets: pd.DataFrame, key: str, since: int = 0) -> Totals:
    """The sums of a key from ``since`` (seconds since the epoch) on."""
    rows = buckets[(buckets["key"] == key) & (buckets["start"] >= since)]
    return Totals(int(rows["n"].sum()), int(rows["negative"].sum()), float(rows["score_sum"].sum()))


def default_topics(buckets: pd.DataFrame, alerts: Sequence[Alert], count: int) -> list[str]:
    """The topics to begin with: those in alarm first, then those with the most documents."""
    firing = [
        a.key.removeprefix(TOPIC_PREFIX)
        for a in alerts
        if a.key.startswith(TOPIC_PREFIX) and a.fired_at is not None
    ]
    volumes = buckets[buckets["key"].str.startswith(TOPIC_PREFIX)].groupby("key")["n"].sum()
    busy = [k.removeprefix(TOPIC_PREFIX) for k in volumes.sort_values(ascending=False).index]
    known = [t for t in dict.fromkeys([*firing, *busy, *TOPICS]) if t in TOPICS]
    return known[:count]
