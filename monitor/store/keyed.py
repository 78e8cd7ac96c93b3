"""What a key stands for among the documents, as conditions of a query."""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, FromClause, Select, select, true

from monitor.keys import is_named, pair_of, sort_of
from monitor.store import schema


def of_key(key: str) -> ColumnElement[bool]:
    """The documents of a key, as a condition; those that name it: joined with ``mentions``.

    Raises ``ValueError`` for a key of an unknown sort.
    """
    sort, name = sort_of(key), key.partition(":")[2]
    documents, mentions = schema.documents.c, schema.mentions.c
    if sort == "all":
        return true()
    if sort == "pair":
        topic, company = pair_of(key)
        return (mentions.key == company) & (documents.topic == topic.partition(":")[2])
    if sort == "other":
        named = "company" if name == "pair" else name
        return mentions.key.startswith(f"{named}:", autoescape=True)
    if is_named(key):
        return mentions.key == key
    if sort == "source":
        return documents.source == name
    return (documents.topic if sort == "topic" else documents.kind) == name


def among(key: str) -> FromClause:
    """Where to look for the documents of a key."""
    documents, mentions = schema.documents, schema.mentions
    if is_named(key):
        return mentions.join(documents, documents.c.id == mentions.c.document_id)
    return documents


def published(key: str) -> Column[int]:
    """The column of event times that goes with the index of a key."""
    return (schema.mentions if is_named(key) else schema.documents).c.published_ms


def first_of_slice(key: str, begin: int, end: int, look: int) -> Select[tuple[str]]:
    """Ids of the first ``look`` documents between two times (milliseconds) that an index finds for
    a key; `beside_the_index` says which of them are the key's."""
    documents, mentions = schema.documents.c, schema.mentions.c
    sort, name = sort_of(key), key.partition(":")[2]
    narrowed: list[ColumnElement[bool]] = []
    if is_named(key):
        identifier, at = mentions.document_id, mentions.published_ms
        if sort != "other":
            narrowed.append(mentions.key == (pair_of(key)[1] if sort == "pair" else key))
    else:
        identifier, at = documents.id, documents.published_ms
        if sort == "topic":
            narrowed.append(documents.topic == name)
    return (
        select(identifier)
        .where(at >= begin, at < end, *narrowed)
        .order_by(at, identifier)
        .limit(look)
    )


def beside_the_index(key: str) -> ColumnElement[bool]:
    """Whether a document of `first_of_slice` is the key's."""
    documents, name = schema.documents.c, key.partition(":")[2]
    match sort_of(key):
        case "kind":
            return documents.kind == name
        case "source":
            return documents.source == name
        case "pair":
            return documents.topic == pair_of(key)[0].partition(":")[2]
    return true()


def negativity(key: str) -> Column[float]:
    """P(negative) towards what a key stands for."""
    return (schema.mentions if is_named(key) else schema.documents).c.p_negative
