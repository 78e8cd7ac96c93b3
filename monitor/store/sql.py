"""The pipeline's database: SQLite or PostgreSQL through SQLAlchemy's Core."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    bindparam,
    delete,
    func,
    select,
    update,
)

from monitor.errors import FencedError, LeaseError
from monitor.events import AlertStatus, Evidence, Heard, View
from monitor.store import alert_rows, keyed, rows, schema
from monitor.store.base import (
    Commit,
    DrillProgress,
    Journey,
    Listed,
    Move,
    Named,
    Snapshot,
    Voice,
)
from monitor.store.drills.rows import PROGRESS, progress_of, progress_values
from monitor.store.engine import writing
from monitor.store.faults import connected, place
from monitor.store.listened import SourceTable
from monitor.store.receipts.rows import listed_row, listing, receipt_values
from monitor.store.statements import Bulk, Dialect
from monitor.store.told import ToldTable
from monitor.story.shown import HEAD, excerpt
from monitor.story.shown import stories as first_of_each

_CLOSED_UNTIL = "closed_until"
_EPOCH = "epoch"
_LIVE = (AlertStatus.PENDING.value, AlertStatus.FIRING.value)


class SqlStore:
    """``Store`` over an engine of ``open_engine`` whose tables ``migrate`` has made.

    One transaction for each call. The row ``epoch`` of ``progress`` is the writer's lease: it is
    locked first in every writing transaction, so that on PostgreSQL too they run one by one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._where = place(engine.url)
        self._lease: int | None = None

        dialect = self._dialect = Dialect(engine.dialect.name)
        ids = schema.documents.c.id
        self._known = select(ids).where(dialect.any_of(ids, "ids"))
        offsets = schema.offsets.c
        # Without the option SQLAlchemy doesn't ask for the number of rows that an INSERT wrote.
        self._first_offset = dialect.insert_or_ignore(schema.offsets).execution_options(
            preserve_rowcount=True
        )
        self._next_offset = (
            update(schema.offsets)
            .where(
                offsets.topic == bindparam("at_topic"),
                offsets.partition == bindparam("at_partition"),
                offsets.next_offset == bindparam("expected"),
            )
            .values(
                next_offset=bindparam("next_offset"),
                max_event_ms=bindparam("max_event_ms"),
                updated_ms=bindparam("updated_ms"),
            )
        )
        self._put_progress = dialect.upsert(schema.progress)
        self._put_documents = Bulk(dialect.insert_or_ignore(schema.documents), engine)
        self._put_mentions = Bulk(dialect.insert_or_ignore(schema.mentions), engine)
        self._put_names = Bulk(dialect.insert_or_ignore(schema.names), engine)
        self._add_buckets = Bulk(
            dialect.accumulate(
                schema.buckets, ("n", "negative", "positive", "score_sum", "posts"), "revision"
            ),
            engine,
        )
        self._put_dead_letter = dialect.insert_or_ignore(schema.dead_letters)
        self._put_gap = dialect.insert_or_ignore(schema.gaps)
        self._put_buckets = Bulk(dialect.upsert(schema.buckets), engine)
        self._told = ToldTable(engine)
        self._sources = SourceTable(engine)
        self._put_key_state = dialect.upsert(schema.key_states)
        states = schema.key_states.c
        self._drop_key_state = delete(schema.key_states).where(
            states.detector == bindparam("of"), states.key == bindparam("gone")
        )
        self._put_drill = dialect.upsert(schema.drills, PROGRESS)
        self._put_alert = dialect.upsert(schema.alerts)
        self._put_receipt = dialect.upsert(schema.receipts)
        self._put_outgoing = schema.outbox.insert().inline()

    def load(self, lookback: int) -> Snapshot:
        """See ``Store.load``."""
        with connected(self._writer, "loading the state") as connection:
            held = self._epoch(connection)
            lease = self._lease
            if lease is None:
                lease = (held or 0) + 1
                connection.execute(self._put_progress, {"name": _EPOCH, "value": lease})
            elif held != lease:
                raise self._lost()
            snapshot = self._snapshot(connection, lookback)
        self._lease = lease  # only once the transaction that took it is committed
        return snapshot

    def known(self, ids: Collection[str]) -> set[str]:
        """See ``Store.known``."""
        if not ids:
            return set()
        with connected(self._engine, "looking up documents") as connection:
            return set(connection.scalars(self._known, {"ids": self._dialect.many(ids)}))

    def evidence(self, key: str, since: datetime, until: datetime, limit: int) -> list[Evidence]:
        """See ``Store.evidence``."""
        table = schema.documents.c
        published, negativity = keyed.published(key), keyed.negativity(key)
        ranked = (
            select(table.id, table.story, table.title, func.substr(table.text, 1, HEAD))
            .select_from(keyed.among(key))
            .where(
                keyed.of_key(key),
                published >= rows.milliseconds(since),
                published < rows.milliseconds(until),
            )
            .order_by(negativity.desc(), published, table.id)
        )
        with connected(self._engine, "gathering evidence") as connection:
            with connection.execute(ranked) as candidates:
                ids = first_of_each((tuple(row) for row in candidates), limit)
            chosen = (
                select(*_shown(), negativity.label("negative"))
                .select_from(keyed.among(key))
                .where(table.id.in_(ids), keyed.of_key(key))
            )
            found = {row.id: _evidence_of(row) for row in connection.execute(chosen)}
        return [found[identifier] for identifier in ids]

    def stories(self, key: str, since: datetime, until: datetime) -> dict[str, int]:
        """See ``Store.stories``."""
        published = keyed.published(key)
        query = (
            select(schema.documents.c.story, func.count())
            .select_from(keyed.among(key))
            .where(
                keyed.of_key(key),
                published >= rows.milliseconds(since),
                published < rows.milliseconds(until),
            )
            .group_by(schema.documents.c.story)
        )
        with connected(self._engine, "counting stories") as connection:
            return {story: int(n) for story, n in connection.execute(query)}

    def speakers(
        self, key: str, since: datetime, until: datetime
    ) -> dict[tuple[str, str | None], int]:
        """See ``Store.speakers``."""
        published, table = keyed.published(key), schema.documents.c
        query = (
            select(table.source, table.author_hash, func.count(table.id.distinct()))
            .select_from(keyed.among(key))
            .where(
                keyed.of_key(key),
                published >= rows.milliseconds(since),
                published < rows.milliseconds(until),
                table.copy_of.is_(None),
            )
            .group_by(table.source, table.author_hash)
        )
        with connected(self._engine, "counting speakers") as connection:
            return {(source, author): int(n) for source, author, n in connection.execute(query)}

    def listed(self, key: str, since: datetime, until: datetime, limit: int) -> list[Listed]:
        """See ``Store.listed``."""
        query = listing(key, since, until, limit)
        with connected(self._engine, "listing documents") as connection:
            return [listed_row(row) for row in connection.execute(query)][::-1]

    def voices(self, key: str, since: datetime, until: datetime, limit: int) -> list[Voice]:
        """See ``Store.voices``."""
        published, table = keyed.published(key), schema.documents.c
        query = (
            select(
                table.id,
                table.author_hash,
                table.topic,
                table.title,
                func.substr(table.text, 1, HEAD).label("head"),
                published.label("at"),
            )
            .select_from(keyed.among(key))
            .where(
                keyed.of_key(key),
                published >= rows.milliseconds(since),
                published < rows.milliseconds(until),
                table.copy_of.is_(None),
                table.counted,
            )
            .order_by(published.desc(), table.id)
            .limit(limit)
        )
        if key.startswith("other:"):  # which joins a document once for each that it names
            query = query.distinct()
        mentions, known = schema.mentions, schema.names
        with connected(self._engine, "reading what a window is about") as connection:
            found = connection.execute(query).all()
            of = (
                select(
                    mentions.c.document_id,
                    mentions.c.key,
                    mentions.c.surface,
                    func.coalesce(known.c.name, mentions.c.surface).label("name"),
                )
                .select_from(mentions.outerjoin(known, known.c.key == mentions.c.key))
                .where(mentions.c.document_id.in_([row.id for row in found]))
                .order_by(mentions.c.document_id, mentions.c.key)
            )
            named: dict[str, list[Named]] = {}
            for row in connection.execute(of):
                named.setdefault(row.document_id, []).append(Named(row.key, row.name, row.surface))
        return [
            Voice(
                row.id,
                rows.moment(row.at),
                row.author_hash,
                row.topic,
                f"{row.title}\n{row.head}",
                tuple(named.get(row.id, ())),
            )
            for row in found
        ]

    def sample(
        self, key: str, since: datetime, until: datetime, slices: int, each: int, look: int
    ) -> list[str]:
        """See ``Store.sample``."""
        table = schema.documents.c
        begin, end = rows.milliseconds(since), rows.milliseconds(until)
        found: list[str] = []
        with connected(self._engine, "reading what is usual") as connection:
            for number in range(slices):
                looked = keyed.first_of_slice(
                    key,
                    begin + (end - begin) * number // slices,
                    begin + (end - begin) * (number + 1) // slices,
                    look,
                )
                # More conditions would tempt the planner to another index than that of the ids.
                query = (
                    select(
                        table.title,
                        func.substr(table.text, 1, HEAD).label("head"),
                        table.copy_of,
                        keyed.beside_the_index(key).label("own"),
                    )
                    .where(table.id.in_(looked))
                    .order_by(table.published_ms, table.id)
                )
                own = [
                    f"{row.title}\n{row.head}"
                    for row in connection.execute(query)
                    if row.copy_of is None and row.own
                ]
                found += own[:each]
        return found

    def journey(self, document: str) -> Journey | None:
        """See ``Store.journey``."""
        table = schema.documents.c
        query = select(
            table.published_ms, table.appended_ms, table.ingested_ms, table.scored_ms
        ).where(table.id == document)
        with connected(self._engine, "reading a document's times") as connection:
            row = connection.execute(query).first()
        return None if row is None else rows.journey_of(row)

    def drill(self, identifier: str) -> DrillProgress | None:
        """See ``Store.drill``."""
        query = select(schema.drills).where(schema.drills.c.id == identifier)
        with connected(self._engine, "reading how far a drill has come") as connection:
            row = connection.execute(query).first()
        return None if row is None else progress_of(row)

    def latest(
        self, source: str | None, since: datetime, until: datetime, limit: int
    ) -> list[Evidence]:
        """See ``Store.latest``."""
        table = schema.documents.c
        query = (
            select(*_shown(), table.p_negative.label("negative"))
            .where(
                table.published_ms >= rows.milliseconds(since),
                table.published_ms <= rows.milliseconds(until),
            )
            .order_by(table.published_ms.desc(), table.id)
            .limit(limit)
        )
        if source is not None:
            query = query.where(table.source == source)
        with connected(self._engine, "reading the newest documents") as connection:
            return [_evidence_of(row) for row in connection.execute(query)]

    def apply(self, commit: Commit) -> None:
        """See ``Store.apply``; step 4 of the pipeline."""
        if self._lease is None:
            raise RuntimeError("load() must come before the first apply(): it takes the lease")
        now_ms = rows.milliseconds(commit.now or datetime.now(UTC))
        with connected(self._writer, "writing a batch") as connection:
            if self._epoch(connection) != self._lease:
                raise self._lost()
            self._move(connection, commit.moves, now_ms)
            if commit.closed_until is not None:
                connection.execute(
                    self._put_progress, {"name": _CLOSED_UNTIL, "value": commit.closed_until}
                )
            self._put_documents.execute(connection, rows.document_rows(commit.documents, now_ms))
            self._put_mentions.execute(connection, rows.mention_rows(commit.documents))
            self._put_names.execute(connection, rows.name_rows(commit.documents))
            self._put_buckets.execute(connection, rows.bucket_rows(commit.buckets))
            self._add_buckets.execute(connection, rows.bucket_rows(commit.history))
            self._told.change(connection, commit.changes)
            self._told.write(connection, commit.told, commit.forget_stories_before)
            self._sources.write(connection, commit.sources, commit.rhythms, commit.gone)
            work: tuple[tuple[Insert, list[rows.Values]], ...] = (
                (self._put_dead_letter, [rows.dead_letter_values(d) for d in commit.dead_letters]),
                (
                    self._put_key_state,
                    [rows.key_state_values(s) for s in commit.key_states if s.state],
                ),
                (self._put_drill, [progress_values(drill) for drill in commit.drills]),
                (self._put_alert, [alert_rows.alert_values(a) for a in commit.alerts]),
                (self._put_receipt, [receipt_values(r) for r in commit.receipts]),
                (
                    self._put_outgoing,
                    [
                        {"destination": o.destination, "payload": o.payload, "created_ms": now_ms}
                        for o in commit.outgoing
                    ],
                ),
                (self._put_gap, [rows.gap_values(gap, now_ms) for gap in commit.gaps]),
            )
            for statement, values in work:
                if values:
                    connection.execute(statement, values)
            if gone := [
                {"of": s.detector, "gone": s.key} for s in commit.key_states if not s.state
            ]:
                connection.execute(self._drop_key_state, gone)

    def close(self) -> None:
        """Close the idle connections; whoever shares the engine reconnects by itself."""
        self._engine.dispose()

    def _epoch(self, connection: Connection) -> int | None:
        progress = schema.progress.c
        held: int | None = connection.scalar(
            select(progress.value).where(progress.name == _EPOCH).with_for_update()
        )
        return held

    def _lost(self) -> LeaseError:
        return LeaseError(
            f"{self._where}: another daemon has taken over this database; run one `monitor run` "
            "for each database, and restart this one only after the other has ended"
        )

    def _move(self, connection: Connection, moves: Sequence[Move], now_ms: int) -> None:
        """The compare-and-set: every row must change, or nothing of the batch is written."""
        first = [
            {
                "topic": move.partition.topic,
                "partition": move.partition.number,
                **rows.position_values(move.position, now_ms),
            }
            for move in moves
            if move.expected is None
        ]
        following = [
            {
                "at_topic": move.partition.topic,
                "at_partition": move.partition.number,
                "expected": move.expected,
                **rows.position_values(move.position, now_ms),
            }
            for move in moves
            if move.expected is not None
        ]
        changed = 0
        for statement, values in ((self._first_offset, first), (self._next_offset, following)):
            if values:
                changed += connection.execute(statement, values).rowcount
        if changed != len(moves):
            raise FencedError(
                f"{self._where}: another worker has moved the offsets of "
                + ", ".join(f"{m.partition.topic}[{m.partition.number}]" for m in moves)
                + f" ({changed} of {len(moves)} were where this worker left them); "
                "the batch was rolled back and is read again from the stored offsets"
            )

    def _snapshot(self, connection: Connection, lookback: int) -> Snapshot:
        progress, buckets = schema.progress.c, schema.buckets.c
        closed_until: int | None = connection.scalar(
            select(progress.value).where(progress.name == _CLOSED_UNTIL)
        )
        recent = select(schema.buckets).order_by(buckets.start, buckets.key)
        since = 0 if closed_until is None else closed_until - lookback
        if since:
            recent = recent.where(buckets.start >= since)
        states = select(schema.key_states).order_by(
            schema.key_states.c.detector, schema.key_states.c.key
        )
        live = (
            select(schema.alerts)
            .where(schema.alerts.c.status.in_(_LIVE))
            .order_by(schema.alerts.c.started_ms, schema.alerts.c.id)
        )
        sources, rhythms = self._sources.read(connection)
        return Snapshot(
            positions=dict(map(rows.position_of, connection.execute(select(schema.offsets)))),
            closed_until=closed_until,
            buckets=[rows.bucket_of(row) for row in connection.execute(recent)],
            recent=self._recent(connection, since),
            key_states=[rows.key_state_of(row) for row in connection.execute(states)],
            alerts=[alert_rows.alert_of(row) for row in connection.execute(live)],
            told=self._told.read(connection),
            sources=sources,
            rhythms=rhythms,
        )

    def _recent(self, connection: Connection, since: int) -> list[Heard]:
        documents, mentions = schema.documents.c, schema.mentions
        named: dict[str, list[View]] = {}
        for row in connection.execute(
            select(mentions)
            .where(mentions.c.published_ms >= since * 1000)
            .order_by(mentions.c.document_id, mentions.c.key)
        ):
            named.setdefault(row.document_id, []).append(rows.view_of(row))
        counted = (
            select(
                documents.id,
                documents.published_ms,
                documents.author_hash,
                documents.kind,
                documents.topic,
                documents.p_negative,
                documents.p_neutral,
                documents.p_positive,
                documents.copy_of,
            )
            .where(documents.published_ms >= since * 1000, documents.counted)
            .order_by(documents.published_ms, documents.id)
        )
        return [
            rows.stored_heard(row, tuple(named.get(row["id"], ())))
            for row in connection.execute(counted).mappings()
        ]


def _shown() -> list[ColumnElement[Any]]:
    """What `_evidence_of` needs, beside ``negative``."""
    table = schema.documents.c
    return [
        table.id,
        table.published_ms,
        table.source,
        table.title,
        table.url,
        table.topic,
        table.story,
        func.substr(table.text, 1, HEAD).label("head"),
    ]


def _evidence_of(row: Any) -> Evidence:
    return Evidence(
        document_id=row.id,
        published_at=rows.moment(row.published_ms),
        source=row.source,
        title=row.title,
        url=row.url,
        negative=row.negative,
        topic=row.topic,
        excerpt=excerpt(row.head),
        story=row.story,
    )
