"""Documents one by one: the latest, and why a text was judged as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import cards, palette, queries, words
from dashboards.explanations import LIMIT_MB, MOST, UnreadableError, card, read
from dashboards.queries import Target
from dashboards.sections import window
from monitor.events import SENTIMENTS, TOPICS
from monitor.keys import ALL, topic_key

DOCUMENTS = 200
"""Rows of the table of documents."""
_MARKS = {"negative": "▼ negative", "neutral": "– neutral", "positive": "▲ positive"}


def documents(at: Target) -> None:
    """The newest of the window, by topic and sentiment."""
    span = window.span(queries.vitals(at))
    st.html(cards.heading("Latest documents", f"The newest {DOCUMENTS} of the window at most"))
    with st.container(horizontal=True):
        topic = st.selectbox(
            "Topic", ["All topics", *TOPICS], key="doc_topic", label_visibility="collapsed"
        )
        sentiment = st.selectbox(
            "Sentiment",
            ["All sentiments", *SENTIMENTS],
            key="doc_sentiment",
            label_visibility="collapsed",
        )
    key = ALL if topic == "All topics" else topic_key(topic)
    until = datetime.fromtimestamp(span.until, UTC) + timedelta(minutes=5)
    found = queries.documents(
        at,
        key,
        datetime.fromtimestamp(span.since, UTC),
        until,
        None if sentiment == "All sentiments" else sentiment,
        DOCUMENTS,
    )
    if found.empty:
        st.html(cards.nothing("No such document here.", "Widen the window or the filter."))
        return
    shown = found.assign(
        url=found["url"].map(words.web_address, na_action="ignore"),
        sentiment=found["sentiment"].map(_MARKS),
        p_negative=found["p_negative"] * 100,
    )
    config = st.column_config
    st.dataframe(
        shown,
        key="documents",
        hide_index=True,
        height=420,
        column_config={
            "published": config.DatetimeColumn(
                "Published (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC", width=135
            ),
            "topic": config.TextColumn("Topic", width=150),
            "sentiment": config.TextColumn("Sentiment", width=95),
            "p_negative": config.ProgressColumn(
                "P(negative)", min_value=0.0, max_value=100.0, format="%.0f %%", width=110
            ),
            "title": config.TextColumn("Title", width="large"),
            "source": config.TextColumn("Source", width=125),
            "url": config.LinkColumn("Link", display_text="open", width=60),
        },
    )


def explanations(colours: palette.Palette) -> None:
    """Those of a file that is handed in."""
    note = "What python -m models explain TEXT --json has written, drawn word by word"
    st.html(cards.heading("Why a verdict", note))
    file = st.file_uploader(
        "Explanations, one JSON object a line",
        type=["json", "jsonl"],
        max_upload_size=LIMIT_MB,
        key="explanation_file",
        label_visibility="collapsed",
    )
    if file is None:
        return
    try:
        found = read(file.getvalue())
    except UnreadableError as error:
        st.html(cards.nothing("This file can't be drawn.", f"{error}"))
        return
    drawn = found[:MOST]
    st.html("".join(card(each, colours) for each in drawn))
    if len(found) > len(drawn):
        st.caption(f"The first {len(drawn)} of {len(found):,}.")
