"""Which keys depend on a source."""

from __future__ import annotations

import numpy as np
from harness.samples import MONDAY, scored

from monitor.aggregate.dependence import COUNTERS, MOST, Dependence
from monitor.events import TOPICS, Mention, Scored

HOUR = 3600


def by(source: str, number: int, topic: int = 5) -> Scored:
    """A document of a source."""
    one = scored(number, topic=topic)
    return one._replace(document=one.document._replace(source=source))


def test_a_key_depends_on_the_source_that_gave_it_much() -> None:
    dependence = Dependence(share=0.3)
    dependence.count([by("wire", i, topic=3) for i in range(20)])
    dependence.count([by("forum", i) for i in range(80)])
    assert [f"topic:{TOPICS[3]}"] == list(dependence.keys("wire"))
    assert ["all", "kind:news", f"topic:{TOPICS[5]}"] == list(dependence.keys("forum"))
    assert [] == list(dependence.keys("never heard of"))


def naming(number: int, *keys: str) -> Scored:
    """A document of the wire that names these."""
    mentions = tuple(Mention(key, "", "", (0.1, 0.8, 0.1)) for key in keys)
    return by("wire", number)._replace(mentions=mentions)


def test_who_is_named_depends_on_it_too_and_so_does_a_company_on_a_topic() -> None:
    dependence = Dependence()
    dependence.count([naming(i, "watch:a", "company:US:NGT", "name:b") for i in range(20)])
    pair = f"pair:{TOPICS[5]}|company:US:NGT"
    assert {"watch:a", "company:US:NGT", "name:b", pair} <= set(dependence.keys("wire"))


def test_of_names_those_that_were_spoken_of_most_are_kept() -> None:
    dependence = Dependence()
    dependence.close(MONDAY)
    dependence.count([naming(i, "name:known") for i in range(20)])
    dependence.count([naming(i, f"name:{i}") for i in range(MOST)])
    dependence.drain()
    dependence.close(MONDAY + HOUR)
    counted = set(dependence.counted)
    assert "name:known" in counted
    assert MOST == sum(key.startswith("name:") for key in counted)
    gone = [state.key for state in dependence.drain() if not state.state]
    assert 1 == len(gone)
    assert gone[0] not in counted


def test_copies_and_what_came_too_late_are_not_counted() -> None:
    dependence = Dependence()
    dependence.count([by("wire", i)._replace(copy_of="d0") for i in range(50)])
    dependence.count([by("wire", i)._replace(counted=False) for i in range(50)])
    assert [] == list(dependence.keys("wire"))


def test_too_few_documents_say_nothing() -> None:
    dependence = Dependence()
    dependence.count([by("wire", i) for i in range(9)])
    assert [] == list(dependence.keys("wire"))


def test_among_thousands_of_sources_those_that_matter_are_found_in_bounded_room() -> None:
    rng = np.random.default_rng(1)
    dependence = Dependence(share=0.2)
    names = np.where(rng.random(20_000) < 0.25, "wire", rng.integers(0, 5_000, 20_000).astype(str))
    for i, name in enumerate(names):
        dependence.count([by(str(name), i)])
    assert "all" in dependence.keys("wire")
    for state in dependence.drain():
        assert state.state.count(b":") <= COUNTERS


def test_what_a_source_once_gave_is_forgotten() -> None:
    dependence = Dependence()
    dependence.close(MONDAY)
    dependence.count([by("wire", i) for i in range(100)])
    for day in range(1, 60):
        dependence.close(MONDAY + day * 24 * HOUR)
        dependence.count([by("forum", i) for i in range(10)])
    assert [] == list(dependence.keys("wire"))
    assert "all" in dependence.keys("forum")


def test_a_restart_forgets_nothing() -> None:
    whole = Dependence()
    whole.close(MONDAY)
    whole.count([by("wire", i) for i in range(30)])
    stored = whole.drain()
    again = Dependence()
    again.restore(stored)
    for one in (whole, again):
        one.close(MONDAY + 5 * HOUR)
        one.count([by("forum", i) for i in range(3)])
    assert whole.drain() == again.drain()
    assert [] == whole.drain()
