"""Tables of names and stories: what they show of a window, and how. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dashboards.charts import ENOUGH
from dashboards.frames import wilson
from dashboards.words import duration, link, moment, percent
from monitor.events import SCORE_SCALE
from monitor.keys import sort_of
from monitor.store.named import KeySums, StorySums

SORTS = {"company": "company", "name": "other name", "watch": "watched"}
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


def stories(rows: Iterable[StorySums]) -> str:
    """A table as HTML, a row for each in their order: what was told, by how many, how badly."""
    head = "".join(f'<th class="m-n">{word}</th>' for word in ("Voices", "Posts", "Negative"))
    lines = "".join(
        f"<tr><td>{link(row.title, None)}"
        f'<span class="m-src">{_told(row)}</span></td>'
        f'<td class="m-n">{row.voices:,}</td><td class="m-n">{row.posts:,}</td>'
        f'<td class="m-n">{percent(row.negative / row.posts)}</td></tr>'
        for row in rows
    )
    return (
        '<div class="m-scroll"><table class="m-rows">'
        f"<tr><th>Story</th>{head}</tr>{lines}</table></div>"
    )


def _told(row: StorySums) -> str:
    sources = f"{row.sources:,} source{'' if row.sources == 1 else 's'}"
    lasted = duration((row.last_at - row.first_at).total_seconds())
    return f"from {moment(row.first_at)}, for {lasted}, {sources}"


def chosen(event: Any, frame: pd.DataFrame) -> str | None:
    """The key of the row that was clicked on."""
    rows = event.selection.rows if event is not None else []
    return str(frame["key"].iloc[rows[0]]) if rows and rows[0] < len(frame) else None
