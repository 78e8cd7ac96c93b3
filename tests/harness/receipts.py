"""A stream with a crisis, and a pipeline that alerts of it: for receipts."""

from __future__ import annotations

import random
from collections.abc import Callable

from harness.flow import Flow, Message, make_flow
from harness.telling import Names, own_words, post

from monitor.annotate import Annotator
from monitor.detect.gates import Gate, Gates
from monitor.detect.surroundings import LifecycleSettings
from monitor.receipt.provenance import Provenances
from monitor.store.base import Store
from monitor.store.memory import MemoryDatabase, MemoryStore
from monitor.story.stories import Stories

DAYS = 1.5
CONFIGURATION = {"detect": {"budget": 1.0, "min_authors": 3}}


def stream(seed: int) -> list[Message]:
    """Calm days, then two of three are bad, and a company is in every fourth text. One of six
    repeats an earlier text, one of four is signed, and some come late."""
    rng = random.Random(seed)
    calm, bad = int(DAYS * 24 * 40), 300
    made: list[tuple[float, Message]] = []
    for i in range(calm + bad):
        crisis = i >= calm
        minutes = i * 1.5 if not crisis else DAYS * 1440 + (i - calm) * 0.4
        sign = rng.choices("-0+", (8, 4, 1) if crisis else (1, 2, 1))[0]
        repeats = i > 50 and rng.random() < 1 / 6
        text = own_words(i - rng.randrange(1, 40), sign) if repeats else own_words(i, sign)
        if crisis and rng.random() < 0.25:
            text += " Northgate"
        signed = {"author": f"a{rng.randrange(30)}"} if rng.random() < 0.25 else {}
        late = rng.choice((0.5, 4.0, 9.0)) if rng.random() < 0.05 else 0.0
        said = post(f"d{i}", minutes, text, source=f"w{i % 7}", **signed)
        made.append((minutes + late, said))
    return [said for _, said in sorted(made, key=lambda item: item[0])]


def flow_of(
    seed: int, poll_records: int = 256, store_on: Callable[[MemoryDatabase], Store] = MemoryStore
) -> Flow:
    """A pipeline that has read all of it, over the database in memory or another."""
    flow = make_flow(poll_records=poll_records)
    flow.annotator = lambda: Annotator(Stories(), Names())
    loose = Gate(5, 2, 2)
    flow.lifecycle = LifecycleSettings(gates=Gates(loose, loose))
    flow.provenances = Provenances(CONFIGURATION)
    flow.store_on = store_on
    flow.restart()
    flow.put(stream(seed))
    flow.drain()
    return flow
