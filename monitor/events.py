"""What travels between the stages: frozen, typed, without behaviour of a stage.

Of what there is one for each document, a named tuple: a frozen dataclass takes four times as long
to make, and a document goes through five of them.

A document goes ``Record`` → ``Document`` → ``Scored`` → ``Bucket`` counts → ``Alert``; whatever
can't go on becomes a ``DeadLetter`` with its reason and its original bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from models.labels import SENTIMENTS, TOPICS
from monitor.tuples import maker

__all__ = [
    "BUCKET_SECONDS",
    "SCORE_SCALE",
    "SENTIMENTS",
    "TOPICS",
    "About",
    "Alert",
    "AlertStatus",
    "Bucket",
    "DeadLetter",
    "Document",
    "Evidence",
    "Explained",
    "Gap",
    "Heard",
    "Kind",
    "Mention",
    "Origin",
    "Partition",
    "Reason",
    "Record",
    "Scored",
    "Setting",
    "Severity",
    "SourceState",
    "Subject",
    "Sums",
    "Term",
    "View",
    "Waterfall",
]

SCORE_SCALE = 10_000
"""Probabilities are summed as integers of 1/10,000: integer sums do not depend on their order."""


BUCKET_SECONDS = 300
"""Length of the tumbling buckets of event time."""


class Kind(StrEnum):
    """Which sort of source a document came from."""

    NEWS = "news"
    COMMENT = "comment"

    __hash__ = str.__hash__  # the library's own is a call of Python's, several for each document


class Reason(StrEnum):
    """Why a record was rejected. Also the ``reason`` label of the metrics, so the set is closed."""

    TOO_LARGE = "too_large"
    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_DATE = "bad_date"
    CONTROL_CHARACTER = "control_character"
    LONE_SURROGATE = "lone_surrogate"
    NO_TEXT = "no_text"
    FUTURE = "future"
    DUPLICATE = "duplicate"
    UNSCORABLE = "unscorable"
    BAD_ROW = "bad_row"


class Partition(NamedTuple):
    """One partition of one Kafka topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that retention deleted before they were read: ``expected`` to ``resumed`` − 1."""

    partition: Partition
    expected: int
    resumed: int


class Origin(NamedTuple):
    """Where a record lies in Kafka."""

    topic: str
    partition: int
    offset: int


class Record(NamedTuple):
    """One Kafka record as it was read, undecoded."""

    origin: Origin
    value: bytes | None
    key: bytes | None
    appended_at: datetime
    """The record's Kafka timestamp: when the producer published it."""


def content_of(title: str, text: str) -> str:
    """What the model reads: the title, then the text."""
    return f"{title}\n{text}" if title and text else title or text


class Document(NamedTuple):
    """A valid message of the contract (docs/message.schema.json). All times are in UTC."""

    id: str
    kind: Kind
    source: str
    published_at: datetime
    title: str
    text: str
    url: str | None
    author: str | None
    """A keyed hash: the author's name goes no further than the decoder."""
    lang: str | None
    tickers: tuple[str, ...]
    origin: Origin
    appended_at: datetime
    history: bool = False
    """Known to be old when it was found: it fills baselines and pages nobody."""
    undated: bool = False
    """Its source gave no usable date: ``published_at`` is when it was first seen."""
    drill: str | None = None
    """Id of the drill that it belongs to: it is part of no aggregate, story or history."""

    @property
    def content(self) -> str:
        """See `content_of`."""
        return content_of(self.title, self.text)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected record: its reason, what exactly was wrong, its original bytes and its place."""

    origin: Origin
    reason: Reason
    detail: str
    value: bytes | None
    rejected_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """One document that an alert rests on."""

    document_id: str
    published_at: datetime
    source: str
    title: str
    url: str | None
    negative: float
    """P(negative), calibrated."""
    topic: str = ""
    excerpt: str = ""
    story: str = ""
    copies: int = 0
    """How many other documents of the window tell the same story."""


class Mention(NamedTuple):
    """Somebody or something that a text names and that is a key of the aggregates."""

    key: str
    """``company:…``, ``name:…`` or ``watch:…``: see `monitor.keys`."""
    name: str
    """As a person would say it."""
    surface: str
    """As the text says it, the first time."""
    sentiment: tuple[float, float, float]
    """Calibrated probabilities towards it, in the order of ``SENTIMENTS``."""


class Scored(NamedTuple):
    """A document with the model's verdict, and what it tells of whom."""

    document: Document
    sentiment: tuple[float, float, float]
    """Calibrated probabilities in the order of ``SENTIMENTS``."""
    topic: int
    """Index into ``TOPICS`` of the most probable topic."""
    topic_confidence: float
    model_version: str
    scored_at: datetime
    story: str = ""
    """Id of the first document of its story; empty: its own."""
    copy_of: str | None = None
    """Id of an earlier document that this one repeats; None: it has words of its own."""
    mentions: tuple[Mention, ...] = ()
    """One for each key, in the order of the text."""
    counted: bool = True
    """Whether it is part of the aggregates; one that comes too late is not."""

    @property
    def sentiment_index(self) -> int:
        """Index into ``SENTIMENTS`` of the most probable sentiment; ties go to the first."""
        return most_probable(self.sentiment)

    @property
    def label(self) -> str:
        """The most probable sentiment, by name."""
        return SENTIMENTS[self.sentiment_index]

    @property
    def topic_name(self) -> str:
        """The most probable topic, by name."""
        return TOPICS[self.topic]


class View(NamedTuple):
    """What one document says for one key."""

    key: str
    sentiment: int
    """Index into ``SENTIMENTS``."""
    score: int
    """(P(positive) − P(negative)) × SCORE_SCALE, rounded."""


class Heard(NamedTuple):
    """What of a document is counted, and what decides whether it is a voice of its own."""

    id: str
    at: float
    """Event time, seconds since the epoch."""
    author: str | None
    kind: Kind
    topic: int
    """Index into ``TOPICS``."""
    sentiment: int
    score: int
    """Of the whole text, as in `View`."""
    copy: bool
    """It repeats an earlier document."""
    views: tuple[View, ...]
    """Of the keys that it names; what it says as a whole is not among them."""


def most_probable(sentiment: tuple[float, float, float]) -> int:
    """Index into ``SENTIMENTS`` of the greatest of its probabilities; ties go to the first."""
    negative, neutral, positive = sentiment
    if neutral > negative:
        return 2 if positive > neutral else 1
    return 2 if positive > negative else 0


def scaled(sentiment: tuple[float, float, float]) -> int:
    """(P(positive) − P(negative)) × SCORE_SCALE, rounded."""
    return round((sentiment[2] - sentiment[0]) * SCORE_SCALE)


def heard_of(scored: Scored) -> Heard:
    """What of a document is counted."""
    document, sentiment = scored.document, scored.sentiment
    views: tuple[View, ...] = ()
    if scored.mentions:
        views = tuple(
            [View(m.key, most_probable(m.sentiment), scaled(m.sentiment)) for m in scored.mentions]
        )
    return _heard(
        (
            document.id,
            document.published_at.timestamp(),
            document.author,
            document.kind,
            scored.topic,
            most_probable(sentiment),
            scaled(sentiment),
            scored.copy_of is not None,
            views,
        )
    )


_heard = maker(Heard)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Counts of one key in one tumbling bucket of event time. Integers only (see SCORE_SCALE).

    Counted are independent voices: `monitor.aggregate.voices`; ``posts`` are all documents.
    ``start`` is in seconds since the epoch, UTC. ``revision`` is 0 for a bucket as it was first
    closed and grows by one with each correction by documents within the allowed lateness.
    """

    key: str
    start: int
    n: int
    negative: int
    positive: int
    score_sum: int
    """Sum of (P(positive) − P(negative)) × SCORE_SCALE over the voices."""
    revision: int = 0
    posts: int = 0


@dataclass(slots=True)
class Sums:
    """What is summed per key and bucket. Adding is commutative and exact."""

    n: int = 0
    negative: int = 0
    positive: int = 0
    score_sum: int = 0
    posts: int = 0

    def add(self, other: Sums) -> None:
        """Add ``other`` in place."""
        self.n += other.n
        self.negative += other.negative
        self.positive += other.positive
        self.score_sum += other.score_sum
        self.posts += other.posts


class AlertStatus(StrEnum):
    """The alert's place in its life: a pending one has not paged anybody yet."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class SourceState(StrEnum):
    """Whether a source can be relied upon to speak. Also the ``state`` label of the metrics."""

    NEW = "new"
    """Not known for long enough to miss it."""
    SPEAKING = "speaking"
    QUIET = "quiet"
    """It says nothing, as it often does at this hour; or it answers and has nothing new."""
    BLIND = "blind"
    """It should have spoken, or cannot be reached: nobody knows what happens there."""


class Severity(StrEnum):
    """How loud an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"


def told_rates(usual: float, *held: float) -> tuple[list[float], str]:
    """A usual rate an hour, and those that are held against it, as they are told: the figures, the
    usual one first, and of what time. Of who is usually spoken of twice a day nobody would say 0.1
    an hour."""
    if usual >= 1:
        return [usual, *held], "an hour"
    return [24 * rate for rate in (usual, *held)], "a day"


class Explained(NamedTuple):
    """What a more general key explains of an alert's excess."""

    key: str
    part: float
    """0 to 1: of the excess, what the shift of that key, without this one, would have made."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds an alert: why it is not sent, if it is not, and what explains it."""

    insufficient: str = ""
    """A pending alert: what the evidence lacks, or what forbids to trust it."""
    expected: str = ""
    """The calendar's label: it fires, is shown, and is not sent."""
    under: str = ""
    """The key whose alert explains this one, or is explained by it: it is shown there, and not
    sent."""
    explained: tuple[Explained, ...] = ()
    """By the more general keys, the closest first; the rest is the key's own."""
    corrected: tuple[float, float, float] | None = None
    """The negative share corrected for the errors of the model, and its 95 % bounds …"""
    corrected_baseline: float | None = None
    """… and the baseline, corrected likewise."""
    rate: tuple[float, float] | None = None
    """Of voices an hour: the 95 % bounds that the number of voices alone leaves."""


class Term(NamedTuple):
    """A word, or two that follow each other, that a window has and its key usually has not."""

    text: str
    voices: int
    """Of the window that use it."""
    score: float
    """z-score of its log odds against what is usual."""


class Subject(NamedTuple):
    """A company, a name, a watched item or a topic that documents of a window are about."""

    key: str
    name: str
    """As a person would say it."""
    voices: int


@dataclass(frozen=True, slots=True)
class About:
    """What the window of an alert is about, by a bounded look at its voices when it fired."""

    voices: int = 0
    """That were looked at."""
    terms: tuple[Term, ...] = ()
    """The strongest first."""
    named: tuple[Subject, ...] = ()
    """Companies, names, watched items: the most named first."""
    topics: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The stops of the document that tipped an alert, on its way to the alert."""

    published_at: datetime
    """Event time; everything below is wall time."""
    appended_at: datetime
    """Its record was written to Kafka."""
    ingested_at: datetime | None
    """It was polled; None: stored by a version that did not note it."""
    scored_at: datetime
    fired_at: datetime
    """The transaction with the alert was made up."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert and its present state. ``id`` is uuid5(key, start bucket, detector version)."""

    id: str
    key: str
    detector: str
    detector_version: str
    status: AlertStatus
    severity: Severity
    started_at: datetime
    """Start (event time) of the bucket in which the evidence began to rise."""
    fired_at: datetime | None
    """Event time at which it fired: the end of the bucket that crossed the threshold."""
    resolved_at: datetime | None
    value: float
    """What was seen: the negative share, or documents an hour."""
    baseline: float
    """What was expected of the same quantity."""
    evalue: float
    """The detector's statistic M when it fired; alarm means M >= threshold."""
    threshold: float
    documents: int
    """Independent voices in the window."""
    negative: int
    window_start: datetime
    window_end: datetime
    summary: str
    model_version: str
    appended_at: datetime
    """Wall time at which the newest record that had been read when it fired was published."""
    updated_at: datetime
    """Wall time at which this state was reached."""
    evidence: tuple[Evidence, ...] = field(default=())
    posts: int = 0
    """All documents of the window, copies included."""
    stories: int = 0
    largest_story: int = 0
    """Documents of the window that tell its most repeated story."""
    setting: Setting = Setting()
    waterfall: Waterfall | None = None
    """Of the newest document of its evidence; None before it fired."""
    receipt: str = ""
    """SHA-256 of its receipt (`monitor.receipt`); empty: nothing that could be recomputed."""
    about: About = About()
    """Empty before it fired."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % bounds of ``value``, in its unit: of a share corrected for the model's errors."""
        corrected = self.setting.corrected
        return self.setting.rate if corrected is None else corrected[1:]

    @property
    def sent(self) -> bool:
        """Whether people are told of it."""
        return self.fired_at is not None and not (self.setting.expected or self.setting.under)
