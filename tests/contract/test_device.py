"""The contract of `Device`, for the real model and the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
import torch

from models.predict import Predictor
from monitor.errors import ScoringError
from monitor.score.base import Device, Probabilities
from monitor.score.memory import MemoryDevice
from monitor.score.transformer import TransformerDevice

TEXTS = [
    "Harlow Bank cut its dividend for the second time this year.",
    "Orders rose.",
    "The central bank left its rate where it was, and said little of the year to come. " * 12,
    "Copper was little changed.",
]
ODD = {
    "empty": "",
    "white space": " \n\t ",
    "only emoji": "🚀🚀🔥😱",
    "only NULs": "\x00\x00\x00",
    "an unknown script": "𒀀𒁀𒂀 𐤀𐤁𐤂",
    "one endless word": "a" * 20_000,
    "ten megabytes": "Profit fell again. " * (10_000_000 // 19),
}


def real() -> Device:
    torch.set_num_threads(1)
    return TransformerDevice(Predictor.load(device="cpu", dtype="float32"), batch_tokens=1024)


@pytest.fixture(scope="module", params=[MemoryDevice, real], ids=["memory", "transformer"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    make: Callable[[], Device] = request.param
    with closing(make()) as made:
        yield made


def require_probabilities(found: Probabilities, count: int) -> None:
    for rows, classes in ((found.sentiment, 3), (found.topic, 20)):
        assert ((count, classes), np.dtype(np.float32)) == (rows.shape, rows.dtype)
        assert np.isfinite(rows).all() and (rows >= 0).all()
        assert rows.sum(1) == pytest.approx(np.ones(count), abs=1e-5)


def test_it_says_what_and_where_it_is(device: Device) -> None:
    assert device.model_version
    assert "cpu" == device.name
    assert device.in_flight >= 1


def test_every_text_has_tokens_and_a_cost(device: Device) -> None:
    rows = device.encode(TEXTS)
    assert len(TEXTS) == len(rows)
    assert all(len(row) >= 1 for row in rows)
    costs = [device.cost(row) for row in rows]
    assert sorted(range(4), key=costs.__getitem__) == sorted(
        range(4), key=lambda i: len(TEXTS[i].split())
    )
    # Windows overlap: a long row costs what it has, or more.
    assert all(cost >= len(row) for cost, row in zip(costs, rows, strict=True))


def test_no_text_has_no_tokens(device: Device) -> None:
    assert [] == device.encode([])


def test_a_forward_pass_gives_probabilities_row_by_row(device: Device) -> None:
    rows = device.encode(TEXTS)
    found = device.begin(rows).result()
    require_probabilities(found, len(TEXTS))
    for i, row in enumerate(rows):
        alone = device.begin([row]).result()
        assert found.sentiment[i] == pytest.approx(alone.sentiment[0], abs=1e-4)
        assert found.topic[i] == pytest.approx(alone.topic[0], abs=1e-4)


def test_as_many_forward_passes_as_it_says_may_be_under_way(device: Device) -> None:
    rows = device.encode(TEXTS)
    pending = [device.begin([rows[i % 4]]) for i in range(device.in_flight)]
    for found in pending:
        require_probabilities(found.result(), 1)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_text_has_a_verdict_with_its_confidence(device: Device, name: str) -> None:
    rows = device.encode([ODD[name], TEXTS[0]])
    require_probabilities(device.begin(rows).result(), 2)


def test_texts_beyond_its_reach_are_counted(device: Device) -> None:
    before = device.capped_texts
    device.encode([TEXTS[0], ODD["ten megabytes"]])
    assert 1 == device.capped_texts - before


@pytest.mark.parametrize("make", [MemoryDevice, real], ids=["memory", "transformer"])
def test_a_closed_device_judges_nothing(make: Callable[[], Device]) -> None:
    device = make()
    rows = device.encode(TEXTS)
    device.close()
    device.close()
    with pytest.raises(ScoringError, match="has been closed"):
        device.begin(rows)
