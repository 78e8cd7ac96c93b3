"""Tables of companies and stories: what they show of a window, and how. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboards.charts import ENOUGH
from dashboards.frames import wilson
from dashboards.words import duration
from monitor.events import SCORE_SCALE
from monitor.keys import sort_of
from monitor.store.named import KeySums, StorySums

SORTS = {"company": "listed", "name": "unlisted", "watch": "watched"}
"""What a person would call the sorts of keys that texts name."""


def companies(rows: Sequence[KeySums]) -> pd.DataFrame:
    """One row for each, in their order.

    Columns: key, name, sort, voices, posts, share (negative, null for fewer voices than the page
    takes for evidence), interval (in words), net.
    """
    frame = pd.DataFrame(
        {
            "key": [row.key for row in rows],
            "name": [row.name for row in rows],
            "sort": [SORTS[sort_of(row.key)] for row in rows],
            "voices": pd.Series([row.voices for row in rows], dtype="int64"),
            "posts": pd.Series([row.posts for row in rows], dtype="int64"),
            "negative": pd.Series([row.negative for row in rows], dtype="int64"),
            "score": pd.Series([row.score_sum for row in rows], dtype="float64"),
        }
    )
    enough = frame["voices"] >= ENOUGH
    low, high = wilson(frame["negative"], frame["voices"])
    frame["share"] = (frame["negative"] / frame["voices"]).where(enough)
    frame["interval"] = [
        f"{100 * a:.0f} – {100 * b:.0f} %" if sure else "insufficient evidence"
        for a, b, sure in zip(low, high, enough, strict=True)
    ]
    frame["net"] = (frame["score"] / (frame["voices"] * SCORE_SCALE)).where(enough)
    return frame[["key", "name", "sort", "voices", "posts", "share", "interval", "net"]]


def stories(rows: Sequence[StorySums]) -> pd.DataFrame:
    """One row for each story, in their order.

    Columns: title, voices, posts, sources, share (of its documents, negative), first, lasted (in
    words).
    """
    return pd.DataFrame(
        {
            "title": [row.title for row in rows],
            "voices": [row.voices for row in rows],
            "posts": [row.posts for row in rows],
            "sources": [row.sources for row in rows],
            "share": [row.negative / row.posts for row in rows],
            "first": [row.first_at for row in rows],
            "lasted": [duration((row.last_at - row.first_at).total_seconds()) for row in rows],
        }
    )


def chosen(event: Any, frame: pd.DataFrame) -> str | None:
    """The key of the row that was clicked on."""
    rows = event.selection.rows if event is not None else []
    return str(frame["key"].iloc[rows[0]]) if rows and rows[0] < len(frame) else None
