"""How the scorer is fed: in chunks, against its back-pressure, its verdicts in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from monitor.bench.contestant import BenchError
from monitor.bench.ours import verdicts
from monitor.score.base import Verdicts


def judged(texts: Sequence[str]) -> Verdicts:
    """The first topic column holds the text's number."""
    topic = np.zeros((len(texts), 20), np.float32)
    topic[:, 0] = [int(text) for text in texts]
    sentiment = np.zeros((len(texts), 3), np.float32)
    return Verdicts(sentiment, topic, np.zeros(len(texts), np.bool_), (), "scripted")


class Engine:
    """Takes so many chunks at a time; a chunk is judged when its ticket is asked."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.open = 0
        self.most = 0

    def submit(self, texts: Sequence[str]) -> Ticket | None:
        if self.open >= self.room:
            return None
        self.open += 1
        self.most = max(self.most, self.open)
        return Ticket(self, texts)


class Ticket:
    def __init__(self, engine: Engine, texts: Sequence[str]) -> None:
        self.engine = engine
        self.texts = texts

    def result(self, _timeout: float) -> Verdicts:
        self.engine.open -= 1
        return judged(self.texts)


CHUNK = 256
TEXTS = [str(number) for number in range(5 * CHUNK + 7)]


@pytest.mark.parametrize("room", [1, 2, 99])
def test_verdicts_come_in_order_whatever_room_the_engine_has(room: int) -> None:
    engine = Engine(room)
    found = verdicts(engine, TEXTS, CHUNK)
    assert list(range(len(TEXTS))) == [int(v) for part in found for v in part.topic[:, 0]]
    assert min(room, 6) == engine.most
    assert 0 == engine.open


def test_an_idle_engine_that_refuses_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(BenchError, match="idle and yet refuses 256 texts"):
        verdicts(Engine(0), TEXTS, CHUNK)
