"""The tables. Times are integers: milliseconds since the epoch, UTC (bucket starts: seconds)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

# SQLite only autoincrements a column declared INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")

offsets = Table(
    "offsets",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("max_event_ms", BigInteger),
    Column("updated_ms", BigInteger, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    Column("name", String(64), primary_key=True),  # closed_until (seconds), epoch (writer's lease)
    Column("value", BigInteger, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("source", Text, nullable=False),
    Column("published_ms", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("author_hash", String(64)),
    Column("lang", Text),
    Column("tickers", Text, nullable=False),  # JSON list
    Column("topic", Text, nullable=False),
    Column("topic_confidence", Float, nullable=False),
    Column("sentiment", String(16), nullable=False),
    Column("p_negative", Float, nullable=False),
    Column("p_neutral", Float, nullable=False),
    Column("p_positive", Float, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("kafka_topic", String(249), nullable=False),
    Column("kafka_partition", Integer, nullable=False),
    Column("kafka_offset", BigInteger, nullable=False),
    Column("appended_ms", BigInteger, nullable=False),
    Column("scored_ms", BigInteger, nullable=False),
    Column("story", Text, nullable=False),
    Column("copy_of", Text),
    Column("counted", Boolean, nullable=False),
    # SQLite walks a long text's overflow pages to reach any column behind it: only what is read
    # for one document at a time may stand there, and adding it costs nothing.
    Column("text", Text, nullable=False),
    Column("ingested_ms", BigInteger),  # null: stored by a version that did not note it
    Index("documents_by_time", "published_ms"),
    Index("documents_by_topic", "topic", "published_ms"),
    # Covers the lag (scored − appended) of the last hour without touching the rows.
    Index("documents_by_scored", "scored_ms", "appended_ms"),
    # Random as ids are, so it costs most: most documents are the first of their story, and found by
    # their id.
    Index(
        "documents_by_story",
        "story",
        sqlite_where=text("story <> id"),
        postgresql_where=text("story <> id"),
    ),
)

mentions = Table(
    "mentions",
    metadata,
    Column("document_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("published_ms", BigInteger, nullable=False),  # the document's
    Column("surface", Text, nullable=False),
    Column("p_negative", Float, nullable=False),
    Column("p_neutral", Float, nullable=False),
    Column("p_positive", Float, nullable=False),
    Index("mentions_by_key", "key", "published_ms"),
    Index("mentions_by_time", "published_ms"),
)

names = Table(
    "names",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),  # as a person would say it
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("kafka_topic", String(249), primary_key=True),
    Column("kafka_partition", Integer, primary_key=True),
    Column("kafka_offset", BigInteger, primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("rejected_ms", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Index("dead_letters_by_reason", "reason"),
)

gaps = Table(
    "gaps",
    metadata,
    Column("kafka_topic", String(249), primary_key=True),
    Column("kafka_partition", Integer, primary_key=True),
    Column("expected", BigInteger, primary_key=True),
    Column("resumed", BigInteger, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
)

buckets = Table(
    "buckets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("negative", Integer, nullable=False),
    Column("positive", Integer, nullable=False),
    Column("score_sum", BigInteger, nullable=False),
    Column("revision", SmallInteger, nullable=False),
    Column("posts", Integer, nullable=False),
    Index("buckets_by_start", "start"),
)

key_states = Table(
    "key_states",
    metadata,
    Column("detector", String(32), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", String(64), nullable=False),
    Column("state", LargeBinary, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),  # empty: the whole stream
    Column("kind", String(16)),
    Column("state", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("last_event_ms", BigInteger),
    Column("expected", Float, nullable=False),  # documents in the last 24 hours
    Column("seen", Integer, nullable=False),
    Column("missing", Float, nullable=False),  # documents expected since the last one
    Column("reason", Text, nullable=False),
    Column("recent", Text, nullable=False),  # JSON list: documents an hour
    Column("depend", Text, nullable=False),  # JSON list of keys
    Column("memory", LargeBinary, nullable=False),
)

# Apart from the sources, because they change once an hour and those with every batch.
rhythms = Table(
    "rhythms",
    metadata,
    Column("name", Text, primary_key=True),
    Column("rhythm", LargeBinary, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("key", Text, nullable=False),
    Column("detector", String(32), nullable=False),
    Column("detector_version", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("fired_ms", BigInteger),
    Column("resolved_ms", BigInteger),
    Column("value", Float, nullable=False),
    Column("baseline", Float, nullable=False),
    Column("evalue", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("negative", Integer, nullable=False),
    Column("window_start_ms", BigInteger, nullable=False),
    Column("window_end_ms", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("appended_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON list of Evidence
    Column("posts", Integer, nullable=False),
    Column("stories", Integer, nullable=False),
    Column("largest_story", Integer, nullable=False),
    Column("setting", Text, nullable=False),  # JSON of Setting
    Column("waterfall", Text),  # JSON object
    Column("receipt", String(64), nullable=False),  # SHA-256; empty: none
    Column("about", Text),  # JSON of About; null: nothing is known
    Index("alerts_by_status", "status", "fired_ms"),
)

# Apart from the alerts, because nobody reads them but who checks one.
receipts = Table(
    "receipts",
    metadata,
    Column("alert_id", String(36), primary_key=True),
    Column("made_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # canonical JSON, deflated
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("alert_id", String(36), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("who", String(128), nullable=False),
    Column("note", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("verdicts_by_alert", "alert_id", "id"),
    sqlite_autoincrement=True,
)

drills = Table(
    "drills",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("scheduled", Boolean, nullable=False),
    Column("receiver", String(64)),
    Column("started_ms", BigInteger, nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    # What the pipeline writes, in the transactions of the documents.
    Column("arrived", Integer, nullable=False),
    Column("negative", Integer, nullable=False),
    Column("event_ms", BigInteger),
    Column("appended_ms", BigInteger),
    Column("ingested_ms", BigInteger),
    Column("scored_ms", BigInteger),
    Column("fired_ms", BigInteger),
    Column("model_version", String(64), nullable=False),
    Column("evidence", Text, nullable=False),  # JSON list; empty once it is over
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_ms", BigInteger),
    Index("drills_by_start", "started_ms"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("destination", String(249), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

notification_groups = Table(
    "notification_groups",
    metadata,
    Column("receiver", String(64), primary_key=True),
    Column("group_key", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("receiver", String(64), nullable=False),
    Column("group_key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("delivered_ms", BigInteger),
    Column("last_error", Text),
    Index("notifications_due", "status", "next_attempt_ms"),
)

# A log: of the rows of one number the last counts, and a bucket's worth of documents is one value.
stories = Table(
    "stories",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("newest_ms", BigInteger, nullable=False),  # last_ms of its newest wording
    Column("forget_ms", BigInteger),  # wordings before it in the log that are older are none
    Column("wordings", LargeBinary, nullable=False),  # see monitor.store.wordings
    Index("stories_by_newest", "newest_ms"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("matchers", Text, nullable=False),  # JSON list of [label, operator, value]
    Column("starts_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("silences_by_end", "ends_ms"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("alert_id", String(36), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("acknowledgements_by_end", "until_ms"),
)

to_publish = Table(
    "to_publish",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("lane", String(32), nullable=False),
    Column("topic", String(249), nullable=False),
    Column("message_id", String(256), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("doubtful", SmallInteger, nullable=False),  # 1: in an attempt that is not settled
    Column("value", LargeBinary, nullable=False),
    Index("to_publish_by_message", "lane", "topic", "message_id", unique=True),
    Index("to_publish_by_lane", "lane", "id"),
    sqlite_autoincrement=True,
)

publish_ends = Table(
    "publish_ends",
    metadata,
    Column("lane", String(32), primary_key=True),
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("end", BigInteger, nullable=False),  # of the log, before the attempt
)

feeds = Table(
    "feeds",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("failures", Integer, nullable=False),
    Column("polled_ms", BigInteger),
    Column("succeeded_ms", BigInteger),
    Column("next_poll_ms", BigInteger),
    Column("fault", Text),
    Column("gone", SmallInteger, nullable=False),
)

feed_items = Table(
    "feed_items",
    metadata,
    Column("feed", String(64), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("fingerprints", Text, nullable=False),  # JSON list
    Column("published_ms", BigInteger, nullable=False),
    Column("history", SmallInteger, nullable=False),
    Column("undated", SmallInteger, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Index("feed_items_by_age", "feed", "last_seen_ms"),
)

handed_in = Table(  # documents that came over HTTP or in a file
    "handed_in",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", String(32), nullable=False),  # of what the document says
    Column("received_ms", BigInteger, nullable=False),
    Index("handed_in_by_time", "received_ms"),
)

push_requests = Table(  # those with an Idempotency-Key, and what they were told
    "push_requests",
    metadata,
    Column("caller", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("push_requests_by_time", "received_ms"),
)

files = Table(
    "files",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("rows", BigInteger, nullable=False),  # that are dealt with
    Column("accepted", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("fault", Text),
)
