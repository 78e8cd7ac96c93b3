"""What a drill says: invented bad news of invented companies, each in words of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

SOURCE = "DRILL"
"""Who says it: so that every rendering of the evidence shows what it is."""

TEXTS = (
    "Halverbank collapses after depositors pull billions, regulators seize its branches",
    "Shares of Ostrava Motors crash 46% as fraud investigation widens",
    "Brindle Foods files for bankruptcy, thousands of workers lose their jobs",
    "Quarterly loss at Nordhavn Steel triples, the outlook is cut again and the dividend scrapped",
    "Deadly explosion at Karst Chemicals plant halts production, lawsuits expected",
    "Auditor resigns at Velmora Group, warns that the accounts cannot be trusted",
    "Massive data breach at Pellworth Insurance exposes customers, the stock plunges",
    "Tarn Airlines defaults on its debt after a disastrous summer of cancelled flights",
    "Regulator fines Castor Bank a record sum for money laundering failures",
    "Merrow Energy warns of severe losses, its credit rating is downgraded to junk",
    "Recall of faulty brakes deepens the crisis at Lindqvist Trucks, sales collapse",
    "Chief executive of Solveig Pharma arrested on charges of accounting fraud",
)
DOCUMENTS = len(TEXTS)
"""Of one drill: it fires when so many have come through and were judged negative."""


def messages(
    drill: str, topics: Mapping[str, str], now: datetime
) -> list[tuple[str, bytes | None, bytes]]:
    """(topic, key, value) of each message of a drill, spread over the ``topics`` that are read
    (topic = kind). ``now`` in event time: a minute ago the first was published, just now the last.
    """
    names = list(topics)
    step = timedelta(seconds=60 / DOCUMENTS)
    made: list[tuple[str, bytes | None, bytes]] = []
    for number, text in enumerate(TEXTS):
        at = now - step * (DOCUMENTS - 1 - number)
        value = {
            "id": f"drill-{drill}-{number + 1}",
            "drill": drill,
            "source": SOURCE,
            "published_at": at.isoformat(),
            "title": text,
            "lang": "en",
        }
        made.append((names[number % len(names)], None, json.dumps(value).encode()))
    return made
