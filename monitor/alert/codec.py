"""One alert as JSON: the payload of its outbox row and the value on the Kafka topic ``alerts``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

from monitor.events import (
    About,
    Alert,
    AlertStatus,
    Evidence,
    Explained,
    Setting,
    Severity,
    Subject,
    Term,
    Waterfall,
)

Read = TypeVar("Read")

_ALERT = frozenset(item.name for item in fields(Alert))
_EVIDENCE = frozenset(item.name for item in fields(Evidence))
# What an older version of this program did not write yet may still lie in the outbox.
_EVIDENCE_DEFAULTS = {"topic": "", "excerpt": "", "story": "", "copies": 0}
_ALERT_DEFAULTS = {
    "posts": 0,
    "stories": 0,
    "largest_story": 0,
    "setting": {},
    "waterfall": None,
    "receipt": "",
    "about": {},
}
_SETTING = frozenset(item.name for item in fields(Setting))
_SETTING_DEFAULTS: dict[str, object] = {
    "insufficient": "",
    "expected": "",
    "under": "",
    "explained": [],
    "corrected": None,
    "corrected_baseline": None,
    "rate": None,
}
_ABOUT = frozenset(item.name for item in fields(About))
_ABOUT_DEFAULTS: dict[str, object] = {"voices": 0, "terms": [], "named": [], "topics": []}
_WATERFALL = frozenset(item.name for item in fields(Waterfall))
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def alert_to_json(alert: Alert) -> bytes:
    """The alert as one compact line of UTF-8 JSON. `alert_from_json` gives back an equal alert."""
    return compact_json(alert_to_object(alert))


def alert_from_json(payload: bytes) -> Alert:
    """Read what `alert_to_json` wrote; raises ``ValueError`` saying which field is wrong."""
    return alert_from_object(json.loads(payload))


def compact_json(value: object) -> bytes:
    """JSON without spaces, in UTF-8; escaped to ASCII where a lone surrogate forbids UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond where it has any: 2023-03-10T08:00:00Z."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Read what `timestamp` wrote; a time without a zone is a ``ValueError``."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return parsed.astimezone(UTC)


def alert_to_object(alert: Alert) -> dict[str, Any]:
    """The alert as a JSON object. Infinite numbers, which JSON lacks, become strings."""
    return {
        "id": alert.id,
        "key": alert.key,
        "detector": alert.detector,
        "detector_version": alert.detector_version,
        "status": alert.status.value,
        "severity": alert.severity.value,
        "started_at": timestamp(alert.started_at),
        "fired_at": _optional_timestamp(alert.fired_at),
        "resolved_at": _optional_timestamp(alert.resolved_at),
        "value": _number(alert.value),
        "baseline": _number(alert.baseline),
        "evalue": _number(alert.evalue),
        "threshold": _number(alert.threshold),
        "documents": alert.documents,
        "negative": alert.negative,
        "window_start": timestamp(alert.window_start),
        "window_end": timestamp(alert.window_end),
        "summary": alert.summary,
        "model_version": alert.model_version,
        "appended_at": timestamp(alert.appended_at),
        "updated_at": timestamp(alert.updated_at),
        "evidence": [evidence_to_object(item) for item in alert.evidence],
        "posts": alert.posts,
        "stories": alert.stories,
        "largest_story": alert.largest_story,
        "setting": {
            "insufficient": alert.setting.insufficient,
            "expected": alert.setting.expected,
            "under": alert.setting.under,
            "explained": [
                {"key": key, "part": _number(part)} for key, part in alert.setting.explained
            ],
            "corrected": alert.setting.corrected and list(alert.setting.corrected),
            "corrected_baseline": alert.setting.corrected_baseline,
            "rate": alert.setting.rate and list(alert.setting.rate),
        },
        "waterfall": None if alert.waterfall is None else waterfall_to_object(alert.waterfall),
        "receipt": alert.receipt,
        "about": about_to_object(alert.about),
    }


def alert_from_object(value: object) -> Alert:
    """The reverse of `alert_to_object`; unknown and missing fields are a ``ValueError``."""
    item = _Reader("alert", value, _ALERT, _ALERT_DEFAULTS)
    return Alert(
        id=item.text("id"),
        key=item.text("key"),
        detector=item.text("detector"),
        detector_version=item.text("detector_version"),
        status=AlertStatus(item.text("status")),
        severity=Severity(item.text("severity")),
        started_at=item.moment("started_at"),
        fired_at=item.optional_moment("fired_at"),
        resolved_at=item.optional_moment("resolved_at"),
        value=item.number("value"),
        baseline=item.number("baseline"),
        evalue=item.number("evalue"),
        threshold=item.number("threshold"),
        documents=item.integer("documents"),
        negative=item.integer("negative"),
        window_start=item.moment("window_start"),
        window_end=item.moment("window_end"),
        summary=item.text("summary"),
        model_version=item.text("model_version"),
        appended_at=item.moment("appended_at"),
        updated_at=item.moment("updated_at"),
        evidence=tuple(_evidence(entry) for entry in item.items("evidence")),
        posts=item.integer("posts"),
        stories=item.integer("stories"),
        largest_story=item.integer("largest_story"),
        setting=_setting(item.value("setting")),
        waterfall=item.optional("waterfall", _waterfall),
        receipt=item.text("receipt"),
        about=_about(item.value("about")),
    )


def evidence_to_object(evidence: Evidence) -> dict[str, Any]:
    """One piece of evidence as a JSON object."""
    return {
        "document_id": evidence.document_id,
        "published_at": timestamp(evidence.published_at),
        "source": evidence.source,
        "title": evidence.title,
        "url": evidence.url,
        "negative": _number(evidence.negative),
        "topic": evidence.topic,
        "excerpt": evidence.excerpt,
        "story": evidence.story,
        "copies": evidence.copies,
    }


def about_to_object(about: About) -> dict[str, Any]:
    """What an alert is about as a JSON object."""
    return {
        "voices": about.voices,
        "terms": [
            {"text": text, "voices": voices, "score": _number(score)}
            for text, voices, score in about.terms
        ],
        "named": [subject._asdict() for subject in about.named],
        "topics": [subject._asdict() for subject in about.topics],
    }


def waterfall_to_object(waterfall: Waterfall) -> dict[str, Any]:
    """The stops of an alert as a JSON object."""
    return {
        "published_at": timestamp(waterfall.published_at),
        "appended_at": timestamp(waterfall.appended_at),
        "ingested_at": _optional_timestamp(waterfall.ingested_at),
        "scored_at": timestamp(waterfall.scored_at),
        "fired_at": timestamp(waterfall.fired_at),
    }


def _waterfall(value: object) -> Waterfall:
    item = _Reader("waterfall", value, _WATERFALL)
    return Waterfall(
        published_at=item.moment("published_at"),
        appended_at=item.moment("appended_at"),
        ingested_at=item.optional_moment("ingested_at"),
        scored_at=item.moment("scored_at"),
        fired_at=item.moment("fired_at"),
    )


def _evidence(value: object) -> Evidence:
    item = _Reader("evidence", value, _EVIDENCE, _EVIDENCE_DEFAULTS)
    return Evidence(
        document_id=item.text("document_id"),
        published_at=item.moment("published_at"),
        source=item.text("source"),
        title=item.text("title"),
        url=item.optional_text("url"),
        negative=item.number("negative"),
        topic=item.text("topic"),
        excerpt=item.text("excerpt"),
        story=item.text("story"),
        copies=item.integer("copies"),
    )


def _setting(value: object) -> Setting:
    item = _Reader("setting", value, _SETTING, _SETTING_DEFAULTS)
    corrected, rate = item.optional_numbers("corrected", 3), item.optional_numbers("rate", 2)
    return Setting(
        insufficient=item.text("insufficient"),
        expected=item.text("expected"),
        under=item.text("under"),
        explained=tuple(_explained(entry) for entry in item.items("explained")),
        corrected=None if corrected is None else (corrected[0], corrected[1], corrected[2]),
        corrected_baseline=None
        if item.value("corrected_baseline") is None
        else item.number("corrected_baseline"),
        rate=None if rate is None else (rate[0], rate[1]),
    )


def _explained(value: object) -> Explained:
    item = _Reader("explained", value, frozenset(Explained._fields))
    return Explained(item.text("key"), item.number("part"))


def _about(value: object) -> About:
    item = _Reader("about", value, _ABOUT, _ABOUT_DEFAULTS)
    return About(
        item.integer("voices"),
        tuple(_term(entry) for entry in item.items("terms")),
        tuple(_subject(entry) for entry in item.items("named")),
        tuple(_subject(entry) for entry in item.items("topics")),
    )


def _term(value: object) -> Term:
    item = _Reader("term", value, frozenset(Term._fields))
    return Term(item.text("text"), item.integer("voices"), item.number("score"))


def _subject(value: object) -> Subject:
    item = _Reader("subject", value, frozenset(Subject._fields))
    return Subject(item.text("key"), item.text("name"), item.integer("voices"))


def _optional_timestamp(value: datetime | None) -> str | None:
    return None if value is None else timestamp(value)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(float(value))


def _places(number: int) -> frozenset[str]:
    return frozenset(map(str, range(number)))


class _Reader:
    """Typed access to the fields of one JSON object; every fault names the field."""

    def __init__(
        self,
        what: str,
        value: object,
        names: frozenset[str],
        defaults: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{what}: expected an object, got {type(value).__name__}")  # noqa: TRY004
        if unknown := sorted(value.keys() - names):
            raise ValueError(f"{what}: unknown fields {', '.join(unknown)}")
        if missing := sorted(names - value.keys() - defaults.keys()):
            raise ValueError(f"{what}: missing fields {', '.join(missing)}")
        self._what = what
        self._value = {**defaults, **value}

    def text(self, name: str) -> str:
        value = self._value[name]
        if isinstance(value, str):
            return value
        raise self._fault(name, "a string")

    def optional_text(self, name: str) -> str | None:
        return None if self._value[name] is None else self.text(name)

    def integer(self, name: str) -> int:
        value = self._value[name]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._fault(name, "an integer")

    def number(self, name: str) -> float:
        value = self._value[name]
        if isinstance(value, str) and value in _NON_FINITE:
            return _NON_FINITE[value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise self._fault(name, "a number")

    def moment(self, name: str) -> datetime:
        text = self.text(name)
        try:
            return moment(text)
        except ValueError as error:
            raise ValueError(f"{self._what}.{name}: {error}") from None

    def optional_moment(self, name: str) -> datetime | None:
        return None if self._value[name] is None else self.moment(name)

    def value(self, name: str) -> object:
        return self._value[name]

    def optional_numbers(self, name: str, number: int) -> list[float] | None:
        value = self._value[name]
        if value is None:
            return None
        if isinstance(value, list) and len(value) == number:
            reader = _Reader(name, {str(i): v for i, v in enumerate(value)}, _places(number))
            return [reader.number(str(i)) for i in range(number)]
        raise self._fault(name, f"a list of {number} numbers")

    def optional(self, name: str, read: Callable[[object], Read]) -> Read | None:
        value = self._value[name]
        return None if value is None else read(value)

    def items(self, name: str) -> list[object]:
        value = self._value[name]
        if isinstance(value, list):
            return value
        raise self._fault(name, "a list")

    def _fault(self, name: str, expected: str) -> ValueError:
        got = type(self._value[name]).__name__
        return ValueError(f"{self._what}.{name}: expected {expected}, got {got}")
