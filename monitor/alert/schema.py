"""The JSON Schema of the webhook's body; docs/webhook.schema.json is its export."""

from __future__ import annotations

from typing import Any

from monitor.alert.payload import NOT_ENDED, VERSION
from monitor.store.verdicts.base import Judgement

_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$"
_FIGURE = r"^(-?\d+(\.\d+)?(e[+-]\d+)?|-?inf|nan)$"

_ANNOTATIONS: dict[str, tuple[str, str | None]] = {
    "summary": ("One sentence: what moved.", None),
    "description": ("The figures in words, and when it fired and ended.", None),
    "value": ("What was seen: the negative share (0 to 1), or documents an hour.", _FIGURE),
    "baseline": ("What was expected of the same quantity.", _FIGURE),
    "evalue": ("The detector's statistic when it fired.", _FIGURE),
    "threshold": ("The statistic's threshold: at or above it the alert fires.", _FIGURE),
    "documents": ("Independent voices in the window.", r"^\d+$"),
    "negative": ("Negative ones among them.", r"^\d+$"),
    "posts": ("All documents in the window, copies included.", r"^\d+$"),
    "stories": ("Stories that they tell.", r"^\d+$"),
    "largest_story": ("Documents that tell the most repeated of these.", r"^\d+$"),
    "started_at": ("Event time: start of the bucket in which the evidence began to rise.", _TIME),
    "window": ("Event time: start and end of the window, separated by a slash.", None),
    "evidence": ("The documents it rests on, one a line: time, source, title, link.", None),
    "evidence_json": ("The same as a JSON list of objects.", r"^\["),
    "appended_at": ("Wall time: the newest document read when it fired was published.", _TIME),
    "detected_at": ("Wall time: the alert reached this state.", _TIME),
    "model_version": ("The model that scored the documents.", None),
    "corrected": (
        "The share corrected for the model's errors, and its 95 % bounds: value/low/high.",
        r"^[\d.e+-]+/[\d.e+-]+/[\d.e+-]+$",
    ),
    "corrected_baseline": ("The expected share, corrected likewise.", _FIGURE),
    "explained": ("By line: a more general key, the part of the excess it explains.", None),
    "interval": (
        "The 95 % bounds of value, in its unit: low/high. Of a share corrected for the model's "
        "errors, of voices an hour by their number alone.",
        r"^[\d.e+-]+/[\d.e+-]+$",
    ),
    "terms": ("Words and pairs of words that tell the window from the week before it.", None),
    "companies": ("Companies, names, watched items that its voices name, and how many do.", None),
    "topics": ("Its topics, and how many voices each has.", None),
    "about_json": ("Terms, companies and topics as a JSON object, with keys and scores.", r"^\{"),
    "not_sent": ("Only in a digest: why nobody was paged.", None),
    "fired_at": ("Event time: end of the bucket that crossed the threshold.", _TIME),
    "resolved_at": ("Event time: the end of the alert; only when it has ended.", _TIME),
    "waterfall": (
        "The stops of the newest document of the evidence, one a line, with the seconds between.",
        None,
    ),
    "waterfall_json": (
        "The same as a JSON object: published_at (event time); appended_at, ingested_at (null "
        "where it is not known), scored_at, fired_at, message_at (wall time).",
        r"^\{",
    ),
    "receipt_sha256": (
        "SHA-256 of the alert's receipt: `monitor receipt` recomputes the alert from it.",
        "^[0-9a-f]{64}$",
    ),
    **{
        f"verdict_{verdict}_url": (f"A page to judge the alert: {verdict}.", "^https?://")
        for verdict in Judgement
    },
}
_OPTIONAL = frozenset(
    {
        *("corrected", "corrected_baseline", "explained", "interval"),
        *("terms", "companies", "topics", "about_json", "not_sent"),
        *("fired_at", "resolved_at", "waterfall", "waterfall_json"),
        "receipt_sha256",
        *(f"verdict_{verdict}_url" for verdict in Judgement),
    }
)

_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def webhook_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of every body that `webhook_body` makes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Webhook notification",
        "description": "Alertmanager's webhook body, version 4, with this monitor's labels.",
        **_object(
            {
                "version": {"const": VERSION},
                "groupKey": {"type": "string", "description": "The same for a group for ever."},
                "truncatedAlerts": {"const": 0, "description": "Nothing is left out."},
                "status": {"enum": ["firing", "resolved"], "description": "firing if any is."},
                "receiver": {"type": "string"},
                "groupLabels": _STRINGS,
                "commonLabels": _STRINGS,
                "commonAnnotations": _STRINGS,
                "externalURL": {"type": "string", "description": "The dashboard."},
                "alerts": {"type": "array", "minItems": 1, "items": _alert()},
            }
        ),
    }


def _alert() -> dict[str, Any]:
    labels = {
        "alertname": {"type": "string"},
        "severity": {"enum": ["warning", "critical"]},
        "key": {
            "type": "string",
            "description": "A key of the stream: all, or <sort>:<name>.",
        },
        "detector": {"type": "string"},
        "alert_id": {"type": "string", "description": "The same over the alert's whole life."},
    }
    return _object(
        {
            "status": {"enum": ["firing", "resolved"]},
            "labels": {
                "type": "object",
                "required": list(labels),
                "properties": labels,
                "additionalProperties": {
                    "type": "string",
                    "description": "The group's label: the sort of its key, or scope.",
                },
            },
            "annotations": _object(
                {name: _text(*what) for name, what in _ANNOTATIONS.items()}, _OPTIONAL
            ),
            "startsAt": {"type": "string", "pattern": _TIME},
            "endsAt": {
                "type": "string",
                "pattern": _TIME,
                "description": f"{NOT_ENDED} while the alert is firing.",
            },
            "generatorURL": {"type": "string"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        }
    )


def _object(properties: dict[str, Any], optional: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
        "additionalProperties": False,
    }


def _text(description: str, pattern: str | None) -> dict[str, str]:
    text = {"type": "string", "description": description}
    return text if pattern is None else {**text, "pattern": pattern}
