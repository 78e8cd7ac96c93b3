"""Copies, authors and companies through the main loop: what is counted, stored and shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from harness.flow import START, Flow, Message, judge, make_flow

from monitor.annotate import Annotator
from monitor.errors import FencedError
from monitor.events import Alert, AlertStatus, Mention, Scored
from monitor.score.base import Verdicts
from monitor.score.memory import MemoryScorer
from monitor.story.stories import Stories

WORDS = """harbour crane ledger copper orchard satellite bakery tunnel violin glacier pepper canvas
lantern meadow turbine saddle ferry walnut compass quarry marble button ribbon kettle""".split()  # noqa: SIM905


def own_words(number: int, sign: str = "0") -> str:
    """A text that no other number's text is like."""
    rng = random.Random(number)
    return f"{sign} 5 " + " ".join(rng.choice(WORDS) for _ in range(24))


def post(identifier: str, minutes: float, text: str, **more: object) -> Message:
    at = START + timedelta(minutes=minutes)
    return {
        "id": identifier,
        "source": f"s{identifier}",
        "published_at": at.isoformat(),
        "text": text,
        **more,
    }


@dataclass
class Names:
    """Whatever is called Northgate is a company, and bad."""

    def mentions(
        self,
        scored: Sequence[Scored],
        texts: Sequence[str],
        verdicts: Verdicts,
        rows: Sequence[int],
    ) -> list[tuple[Mention, ...]]:
        assert len(scored) == len(texts) == len(rows) <= len(verdicts.failed)
        mention = Mention("company:XX:NGT", "Northgate plc", "Northgate", (0.9, 0.05, 0.05))
        return [(mention,) if "Northgate" in text else () for text in texts]


def telling(partitions: int = 1, poll_records: int = 512) -> Flow:
    flow = make_flow(partitions, poll_records)
    flow.annotator = lambda: Annotator(Stories(), Names())
    flow.scorer = MemoryScorer(judge, bad_texts=frozenset({own_words(666)}))
    flow.restart()
    return flow


def sums(flow: Flow, key: str = "all") -> tuple[int, int, int]:
    """(posts, voices, negative ones) of a key."""
    found = [b for (k, _), b in flow.database.buckets.items() if k == key]
    return sum(b.posts for b in found), sum(b.n for b in found), sum(b.negative for b in found)


def test_a_syndicated_text_is_one_voice_however_often_it_is_posted() -> None:
    flow = telling()
    flow.put([post(f"c{i}", i, own_words(1, "-")) for i in range(30)])
    flow.put([post(f"o{i}", i, own_words(10 + i)) for i in range(5)])
    flow.drain()

    assert (35, 6, 1) == sums(flow)
    assert {"c0": 30, **{f"o{i}": 1 for i in range(5)}} == flow.store.stories(
        "all", START, START + timedelta(days=1)
    )
    stored = flow.database.documents
    assert (None, "c0") == (stored["c0"].copy_of, stored["c9"].copy_of)


def test_a_comment_counts_once_an_hour_for_its_author() -> None:
    flow = telling()
    flow.put([post(f"c{i}", i, own_words(i), author="ann") for i in range(9)], "comments")
    flow.put([post("d", 3, own_words(99), author="bob")], "comments")
    flow.drain()
    assert (10, 2, 0) == sums(flow)
    assert (10, 2, 0) == sums(flow, "kind:comment")


def test_a_company_counts_with_what_is_said_of_it() -> None:
    flow = telling()
    flow.put([post("a", 0, own_words(1, "+") + " Northgate"), post("b", 1, own_words(2, "+"))])
    flow.put([post("bad", 2, own_words(666)), post("c", 3, own_words(3) + " Northgate")])
    flow.drain()

    assert (3, 3, 0) == sums(flow)
    assert (2, 2, 2) == sums(flow, "company:XX:NGT")
    (first, second) = flow.store.evidence(
        "company:XX:NGT", START, START + timedelta(hours=1), limit=5
    )
    assert ["a", "c"] == [first.document_id, second.document_id]
    assert 0.9 == first.negative


def buckets(flow: Flow) -> dict[tuple[str, int], tuple[int, ...]]:
    """What was counted, without how often it was corrected."""
    return {
        place: (b.posts, b.n, b.negative, b.positive, b.score_sum)
        for place, b in flow.database.buckets.items()
    }


def stories(flow: Flow) -> dict[str, tuple[str, bool]]:
    """The story of each document, and whether it is a copy."""
    stored = flow.database.documents.values()
    return {s.document.id: (s.story, s.copy_of is not None) for s in stored}


@pytest.mark.parametrize("seed", range(4))
def test_any_order_within_the_lateness_and_restarts_count_the_same(seed: int) -> None:
    rng = random.Random(seed)
    posts = [
        post(
            f"d{i}",
            minutes=i * 0.2,
            text=own_words(rng.randrange(40), rng.choice("-0+")[0])
            + rng.choice([" Northgate", ""]),
            **({"author": rng.choice("abc")} if rng.random() < 0.5 else {}),
        )
        for i in range(120)
    ]
    # Signs are the first character: copies that differ there alone are copies all the same.
    straight, shuffled = telling(), telling(poll_records=7)
    straight.put(posts)
    straight.drain()

    mixed = sorted(posts, key=lambda p: (str(p["published_at"])[:15], rng.random()))
    shuffled.put(mixed[:60])
    for _ in range(4):
        shuffled.pipeline.step(shuffled.stop)
    shuffled.restart()
    shuffled.put(mixed[60:])
    shuffled.drain()

    assert buckets(straight) == buckets(shuffled)
    assert stories(straight) == stories(shuffled)


def test_what_a_fence_throws_away_is_told_anew_and_once() -> None:
    flow = telling(poll_records=5)
    flow.put([post(f"c{i}", i, own_words(i % 3)) for i in range(20)])
    flow.database.fail("apply", None, FencedError("another was here"), None)
    flow.drain()
    assert (20, 3, 0) == sums(flow)


def test_history_fills_the_past_and_pages_nobody() -> None:
    flow = telling()
    flow.put([post(f"n{i}", i * 10, own_words(i)) for i in range(100)])
    flow.drain()
    closed = flow.database.closed_until
    old = [
        post(f"h{i}", -3000 + i * 0.1, own_words(1000 + i, "-"), history=True) for i in range(400)
    ]
    flow.put(old)
    flow.drain()

    assert closed == flow.database.closed_until
    assert {} == flow.database.alerts
    assert (500, 500, 400) == sums(flow)
    assert not any(s.counted for s in flow.database.documents.values() if s.document.history)


def spike(copied: bool) -> list[Alert]:
    """The alerts of ten calm days and two hours of bad news, in one text or in many."""

    def text(number: int) -> str:
        return own_words(7777 if copied else 5000 + number, "-")

    flow = telling()
    rng = random.Random(5)
    calm = [
        post(f"n{i}", i * 10, own_words(i, rng.choices("-0+", (1, 2, 1))[0]), source=f"w{i % 7}")
        for i in range(10 * 144)
    ]
    bad = [
        post(
            f"b{i}",
            14_400 + i * 2,
            own_words(7777 if copied else 5000 + i, "-"),
            source=f"w{i % 7}",
        )
        for i in range(60)
    ]
    flow.put(calm + bad)
    flow.drain()
    return [a for a in flow.database.alerts.values() if a.status is not AlertStatus.PENDING]


def test_one_text_posted_everywhere_is_no_alert() -> None:
    assert [] == [a for a in spike(copied=True) if a.detector == "share"]


def test_many_voices_are_and_the_alert_says_how_many() -> None:
    share = [a for a in spike(copied=False) if a.detector == "share"]
    assert share
    assert all(a.posts >= a.documents >= 10 and a.stories >= 10 for a in share)
    assert all(a.largest_story <= 2 for a in share)


def test_what_has_no_date_is_shown_and_counted_nowhere() -> None:
    flow = telling()
    flow.put([post("a", 0, own_words(1)), post("b", 1, own_words(2), undated=True)])
    flow.drain()
    assert (1, 1, 0) == sums(flow)
    assert {"a", "b"} == set(flow.database.documents)
