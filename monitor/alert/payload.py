"""The body of a notification: Alertmanager's webhook, version 4 (docs/webhook.md).

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from monitor.alert.codec import (
    about_to_object,
    compact_json,
    evidence_to_object,
    timestamp,
    waterfall_to_object,
)
from monitor.alert.group import group_labels
from monitor.alert.standing import not_sent
from monitor.events import Alert, AlertStatus, Subject, Waterfall, told_rates
from monitor.keys import DRILL_SCHEDULE, display_name

VERSION = "4"
NOT_ENDED = "0001-01-01T00:00:00Z"
"""Go's zero time: what Alertmanager sends as ``endsAt`` of an alert that is firing."""

_NAMES = {
    "share": "NegativeShareSpike",
    "volume": "VolumeSpike",
    "blind": "SourceBlind",
    "drill": "Drill",
}
_FNV_OFFSET, _FNV_PRIME, _FNV_MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


Links = Callable[[Alert], Mapping[str, str]]
"""More annotations of an alert: addresses under which something can be done about it."""


def no_links(_alert: Alert) -> Mapping[str, str]:
    """None."""
    return {}


def webhook_body(
    receiver: str,
    key: str,
    alerts: Sequence[Alert],
    external_url: str = "",
    links: Links = no_links,
    at: datetime | None = None,
) -> bytes:
    """The body for these alerts of one group, as UTF-8 JSON. The same input gives the same bytes.

    ``external_url``: the dashboard's address, which the links lead to. ``at``: when the message was
    made, the last stop of each waterfall. Nothing is truncated.
    """
    items = [_alert(alert, external_url, links, at) for alert in alerts]
    firing = any(alert.status is not AlertStatus.RESOLVED for alert in alerts)
    labels = group_labels(key)
    return compact_json(
        {
            "version": VERSION,
            "groupKey": f"{{}}:{{{_matchers(labels)}}}",
            "truncatedAlerts": 0,
            "status": "firing" if firing else "resolved",
            "receiver": receiver,
            "groupLabels": labels,
            "commonLabels": _common([item["labels"] for item in items]),
            "commonAnnotations": _common([item["annotations"] for item in items]),
            "externalURL": external_url,
            "alerts": items,
        }
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus's hash of a label set: FNV-1a, 64 bits, over name 0xFF value 0xFF, by name."""
    value = _FNV_OFFSET
    for name in sorted(labels):
        for byte in (*name.encode(), 0xFF, *labels[name].encode(errors="replace"), 0xFF):
            value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return f"{value:016x}"


def alert_name(alert: Alert) -> str:
    """The label ``alertname``, by the detector."""
    if alert.key == DRILL_SCHEDULE:
        return "DrillFailed"
    return _NAMES.get(alert.detector, alert.detector)


def labels_of(alert: Alert) -> dict[str, str]:
    """What an alert is known by, all its life; only the severity may change."""
    return {
        "alertname": alert_name(alert),
        "severity": alert.severity.value,
        "key": alert.key,
        **group_labels(alert.key),
        "detector": alert.detector,
        "alert_id": alert.id,
    }


def link_to(alert: Alert, external_url: str) -> str:
    """Where the dashboard shows this alert; empty without a dashboard."""
    return f"{external_url}?alert={quote(alert.id)}" if external_url else ""


def _alert(alert: Alert, external_url: str, links: Links, at: datetime | None) -> dict[str, Any]:
    labels = labels_of(alert)
    ended = alert.status is AlertStatus.RESOLVED and alert.resolved_at is not None
    return {
        "status": "resolved" if alert.status is AlertStatus.RESOLVED else "firing",
        "labels": labels,
        "annotations": {**annotations_of(alert, at), **links(alert)},
        "startsAt": timestamp(alert.fired_at or alert.started_at),
        "endsAt": timestamp(alert.resolved_at) if ended and alert.resolved_at else NOT_ENDED,
        "generatorURL": link_to(alert, external_url),
        "fingerprint": fingerprint(labels),
    }


def annotations_of(alert: Alert, at: datetime | None = None) -> dict[str, str]:
    """Alertmanager's annotations are strings; what is not known is left out.

    ``at``: when the message was made.
    """
    values = {
        "summary": alert.summary,
        "description": _description(alert),
        "value": _figure(alert.value),
        "baseline": _figure(alert.baseline),
        "evalue": _figure(alert.evalue),
        "threshold": _figure(alert.threshold),
        "documents": str(alert.documents),
        "negative": str(alert.negative),
        "posts": str(alert.posts),
        "stories": str(alert.stories),
        "largest_story": str(alert.largest_story),
        "started_at": timestamp(alert.started_at),
        "window": f"{timestamp(alert.window_start)}/{timestamp(alert.window_end)}",
        "evidence": "\n".join(
            f"{timestamp(item.published_at)} {item.source}: {item.title}"
            + (f" (and {item.copies} more of this story)" if item.copies else "")
            + (f" {item.url}" if item.url else "")
            for item in alert.evidence
        ),
        "evidence_json": compact_json(
            [evidence_to_object(item) for item in alert.evidence]
        ).decode(),
        "appended_at": timestamp(alert.appended_at),
        "detected_at": timestamp(alert.updated_at),
        "model_version": alert.model_version,
    }
    setting, about = alert.setting, alert.about
    if reason := not_sent(alert):
        values["not_sent"] = reason
    if alert.interval is not None:
        values["interval"] = "/".join(map(_figure, alert.interval))
    if about.terms:
        values["terms"] = ", ".join(term.text for term in about.terms)
    if about.named:
        values["companies"] = subjects_text(about.named)
    if about.topics:
        values["topics"] = subjects_text(about.topics)
    if about.voices:
        values["about_json"] = compact_json(about_to_object(about)).decode()
    if setting.corrected is not None and setting.corrected_baseline is not None:
        values["corrected"] = "/".join(_figure(share) for share in setting.corrected)
        values["corrected_baseline"] = _figure(setting.corrected_baseline)
    if setting.explained:
        values["explained"] = "\n".join(f"{key} {part:.2f}" for key, part in setting.explained)
    if alert.fired_at is not None:
        values["fired_at"] = timestamp(alert.fired_at)
    if alert.resolved_at is not None:
        values["resolved_at"] = timestamp(alert.resolved_at)
    if alert.waterfall is not None:
        stops = waterfall_to_object(alert.waterfall)
        if at is not None:
            stops["message_at"] = timestamp(at)
        values["waterfall"] = waterfall_text(alert.waterfall, at)
        values["waterfall_json"] = compact_json(stops).decode()
    if alert.receipt:
        values["receipt_sha256"] = alert.receipt
    return values


def subjects_text(subjects: Sequence[Subject]) -> str:
    """Whom and what the voices speak of, and how many do: "Halden Bank (30), Northgate (4)"."""
    return ", ".join(f"{subject.name} ({subject.voices})" for subject in subjects)


def waterfall_text(waterfall: Waterfall, message_at: datetime | None = None) -> str:
    """The stops of the newest document of the evidence, one a line, each with the seconds since
    the stop before. ``published_at`` is event time, so what follows it is no delay of ours alone.
    """
    before = waterfall.published_at
    lines = [f"published {timestamp(before)} (event time)"]
    for name, at in (
        ("in Kafka", waterfall.appended_at),
        ("ingested", waterfall.ingested_at),
        ("scored", waterfall.scored_at),
        ("fired", waterfall.fired_at),
        ("this message", message_at),
    ):
        if at is not None:
            lines.append(f"{name} {timestamp(at)} ({(at - before).total_seconds():+.3f} s)")
            before = at
    return "\n".join(lines)


def _description(alert: Alert) -> str:
    lines = [alert.summary]
    if reason := not_sent(alert):
        lines.append(f"Not sent, {reason}.")
    if alert.detector == "blind":
        lines.append(f"Expected {_figure(alert.baseline)} documents an hour, and none came.")
    elif alert.detector != "drill":
        figures, unit = [alert.baseline, alert.value], ""
        if alert.detector == "volume":
            figures, span = told_rates(*figures)
            unit = f" {span}"
        usual, seen = map(_figure, figures)
        lines.append(
            f"Seen {seen}, expected {usual}{unit}; "
            f"{alert.negative} of {alert.documents} independent voices negative, "
            f"in {alert.posts} posts that tell {alert.stories} stories."
        )
        lines += _beyond(alert)
    if alert.fired_at is not None:
        lines.append(f"Fired at {timestamp(alert.fired_at)}.")
    if alert.resolved_at is not None:
        lines.append(f"Resolved at {timestamp(alert.resolved_at)}.")
    return "\n".join(lines)


def _beyond(alert: Alert) -> list[str]:
    """What the model's errors leave of the figures, and what the more general keys explain."""
    setting, about, lines = alert.setting, alert.about, []
    if setting.rate is not None:
        (_, low, high), span = told_rates(alert.baseline, *setting.rate)
        lines.append(f"Their number alone leaves {low:.3g} to {high:.3g} {span}.")
    if setting.corrected is not None and setting.corrected_baseline is not None:
        value, low, high = setting.corrected
        lines.append(
            f"Corrected for the errors of the model: {value:.0%} ({low:.0%} to {high:.0%}), "
            f"expected {setting.corrected_baseline:.0%}."
        )
    if setting.explained:
        parts = ", ".join(f"{display_name(key)} {part:.0%}" for key, part in setting.explained)
        lines.append(f"Of the excess the movement of more general keys explains: {parts}.")
    if about.terms:
        lines.append(f"Unusual are: {', '.join(term.text for term in about.terms)}.")
    if about.named:
        lines.append(f"Of {about.voices} voices looked at speak of: {subjects_text(about.named)}.")
    return lines


def _figure(value: float) -> str:
    return f"{value:.6g}"


def _common(sets: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The pairs that are in every set."""
    if not sets:
        return {}
    first, *rest = sets
    return {name: value for name, value in first.items() if all(s.get(name) == value for s in rest)}


def _matchers(labels: Mapping[str, str]) -> str:
    return ", ".join(f'{name}="{labels[name].translate(_ESCAPES)}"' for name in sorted(labels))
