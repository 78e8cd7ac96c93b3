"""What the device passes to the network, with or without forward passes that can be begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch

from models.predict import Predictor, Probabilities
from models.windows import Reader
from monitor.errors import ScoringError
from monitor.score.base import Pending
from monitor.score.transformer import TransformerDevice, devices


class Scripted:
    """Stands in for `Predictor`: windows of 8 tokens, 2 of them specials, that share 2."""

    version = "scripted-1"
    device = "cpu"
    max_length = 8
    capped_texts = 0
    reader = Reader.fitting(8, 2, 4, before=1, after=1)

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def predict(self, ids: Sequence[Sequence[int]], *, budget: int = 0) -> Probabilities:
        self.calls.append((len(ids), budget))
        return Probabilities(
            np.zeros((len(ids), 3), np.float32), np.zeros((len(ids), 20), np.float32)
        )


class Enqueued:
    """A forward pass that only its result waits for."""

    def result(self) -> Probabilities:
        return Probabilities(np.zeros((0, 3), np.float32), np.zeros((0, 20), np.float32))


class Beginning(Scripted):
    """One whose forward passes can be begun."""

    device = "cuda:1"
    packed = True

    def begin(self, ids: Sequence[Sequence[int]], *, budget: int = 0) -> Pending:
        self.calls.append((len(ids), budget))
        return Enqueued()


def made(predictor: Scripted) -> TransformerDevice:
    return TransformerDevice(cast("Predictor", predictor), batch_tokens=48)


def test_the_budget_bounds_the_forward_passes_of_one_long_text() -> None:
    predictor = Scripted()
    found = made(predictor).begin([[1] * 20, [1]]).result()
    assert (2, 3) == found.sentiment.shape
    assert [(2, 48)] == predictor.calls


def test_a_row_costs_its_windows() -> None:
    device = made(Scripted())
    assert [1, 8, 16, 24] == [device.cost([1] * n) for n in (1, 8, 12, 16)]


def test_without_a_beginning_one_forward_pass_is_under_way() -> None:
    device = made(Scripted())
    assert (False, 1) == (device.packed, device.in_flight)


def test_on_a_gpu_forward_passes_are_begun_ahead() -> None:
    predictor = Beginning()
    device = made(predictor)
    assert (True, 3) == (device.packed, device.in_flight)
    assert isinstance(device.begin([[1], [2]]), Enqueued)
    assert [(2, 48)] == predictor.calls
    device.close()
    with pytest.raises(ScoringError, match="has been closed; load it again"):
        device.begin([[1]])


def test_all_devices_are_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ["cuda:0", "cuda:1"] == devices("all")
    assert [["auto"], ["cpu"], ["cuda:1"]] == [devices(d) for d in ("auto", "cpu", "cuda:1")]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ScoringError, match="use auto or cpu"):
        devices("all")
