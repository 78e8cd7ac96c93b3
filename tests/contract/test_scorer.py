"""The contract of `Scorer`, for the engine and for the one in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest

from monitor.score.base import Scorer
from monitor.score.engine import BatchScorer
from monitor.score.memory import MemoryDevice, MemoryScorer, Named, Names
from monitor.score.schedule import Batching

BAD = frozenset({"bad"})
PATIENCE = 30.0


def judge(text: str) -> tuple[int, int]:
    return len(text) % 3, len(text) % 20


def names(text: str) -> list[Named]:
    """Every run of x is an organisation, and the longer it is the better."""
    return [
        Named(*match.span(), "organisation", min(2, len(match.group()) - 1))
        for match in re.finditer("x+", text)
    ]


def engine(names: Names | None = None) -> Scorer:
    device = MemoryDevice(judge, bad_texts=BAD, names=names)
    return BatchScorer([device], Batching(64, 16, 0.0, 1))


def memory(names: Names | None = None) -> Scorer:
    return MemoryScorer(judge, BAD, names=names)


@pytest.fixture(params=[engine, memory])
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    make: Callable[[], Scorer] = request.param
    with closing(make()) as made:
        made.warmup()
        yield made


@pytest.mark.parametrize(
    "texts", [[], ["a"], ["a", "bad", "", "ccc"], ["x" * n for n in range(99)]]
)
def test_a_ticket_gives_each_text_its_verdict_or_a_reason(scorer: Scorer, texts: list[str]) -> None:
    before = scorer.judged
    ticket = scorer.submit(texts)
    assert ticket is not None
    verdicts = ticket.result(PATIENCE)
    assert ticket.done and ticket.wait(0)
    assert [text in BAD for text in texts] == verdicts.failed.tolist()
    assert sum(text in BAD for text in texts) == len(verdicts.errors)
    for i, text in enumerate(texts):
        if text in BAD:
            assert np.isnan(verdicts.sentiment[i]).all() and np.isnan(verdicts.topic[i]).all()
        else:
            assert judge(text) == (verdicts.sentiment[i].argmax(), verdicts.topic[i].argmax())
    assert scorer.model_version == verdicts.model_version
    assert len(texts) == scorer.judged - before


@pytest.mark.parametrize("make", [engine, memory])
@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["bad"],
        ["x"],
        ["axxb x", "bad", "", "no", "xxx" * 9 + " x"],
        ["a x" * n for n in range(60)],
    ],
)
def test_a_model_with_a_token_head_gives_each_text_its_names_and_a_failed_one_none(
    make: Callable[[Names], Scorer], texts: list[str]
) -> None:
    with closing(make(names)) as scorer:
        found = scorer.score(texts).tokens
    if not any(text not in BAD for text in texts):
        assert found is None
        return
    assert found is not None and len(texts) == len(found)
    for i, text in enumerate(texts):
        expected = [] if text in BAD else names(text)
        assert [name[:3] for name in expected] == [span[:3] for span in found.spans(i)]
        for name in expected:
            towards = found.sentiment_of(i, name.start, name.end)
            assert towards is not None and towards[name.sentiment] == pytest.approx(1.0)
    assert found.sentiment_of(texts.index("bad") if "bad" in texts else 0, 900, 901) is None


def test_a_model_without_a_token_head_gives_no_tokens(scorer: Scorer) -> None:
    assert scorer.score(["x", "a"]).tokens is None


def test_tickets_are_done_in_their_order(scorer: Scorer) -> None:
    tickets = [scorer.submit(["x" * (n % 50)] * (n % 7)) for n in range(60)]
    last = tickets[-1]
    assert last is not None
    last.result(PATIENCE)
    assert all(ticket is not None and ticket.done for ticket in tickets)


def test_submitting_and_waiting_is_one_call(scorer: Scorer) -> None:
    verdicts = scorer.score(["a", "bb"])
    assert [judge("a")[0], judge("bb")[0]] == verdicts.sentiment.argmax(axis=1).tolist()


def test_what_was_given_up_leaves_the_scorer_sound(scorer: Scorer) -> None:
    scorer.submit(["a"] * 50)
    scorer.forget()
    assert [False] == scorer.score(["b"]).failed.tolist()
    assert scorer.fault is None
