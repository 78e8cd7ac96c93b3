"""Markdown for renderers whose escapes nobody documents: DingTalk's and WeCom's.

What could be markup becomes its full-width twin: it reads the same and means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.alert.channels.message import Document, Entry

_WIDE = {ord(c): chr(ord(c) + 0xFEE0) for c in "[]()<>*_`#!~@\\|"}


def escape(text: str) -> str:
    """The text, harmless."""
    return text.translate(_WIDE)


def lines(entry: Entry) -> Iterator[str]:
    """One alert, a line each: what moved, the facts, the documents."""
    yield f"**{escape(entry.headline)}**"
    for name, value in entry.facts:
        yield f"{name}: {escape(value)}"
    for document in entry.documents:
        yield f"- {_title(document)} ({escape(document.about)})"


def _title(document: Document) -> str:
    title = escape(document.title)
    return title if document.url is None else f"[{title}]({document.url})"
