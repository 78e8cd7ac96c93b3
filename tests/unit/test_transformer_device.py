"""What the device passes on to the network, and what it says of it."""

from __future__ import annotations

import ctypes
import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from models.predict import Predictor, Probabilities
from monitor.errors import ScoringError
from monitor.score.transformer import TransformerDevice, devices


class Enqueued:
    """A forward pass that only its result waits for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def result(self) -> Probabilities:
        n = self._count
        return Probabilities(np.zeros((n, 3), np.float32), np.zeros((n, 20), np.float32))


class Scripted:
    """Stands in for `Predictor`: a token costs two."""

    version = "scripted-1"
    capped_texts = 0

    def __init__(self, device: str = "cpu", packed: bool = False) -> None:
        self.device = device
        self.packed = packed
        self.calls: list[tuple[int, int]] = []

    def cost(self, row: Sequence[int]) -> int:
        return 2 * len(row)

    def begin(self, ids: Sequence[Sequence[int]], *, budget: int) -> Enqueued:
        self.calls.append((len(ids), budget))
        return Enqueued(len(ids))


def made(predictor: Scripted) -> TransformerDevice:
    return TransformerDevice(cast("Predictor", predictor), batch_tokens=48)


def test_the_budget_bounds_the_forward_passes_of_one_long_text() -> None:
    predictor = Scripted()
    assert (2, 3) == made(predictor).begin([[1] * 20, [1]]).result().sentiment.shape
    assert [(2, 48)] == predictor.calls


def test_a_row_costs_what_the_model_reads_of_it() -> None:
    assert 6 == made(Scripted()).cost([1, 2, 3])


@pytest.mark.parametrize(
    ("device", "packed", "expected"),
    [("cpu", False, 1), ("cpu", True, 1), ("cuda", True, 3), ("cuda:1", False, 3)],
)
def test_on_a_gpu_forward_passes_are_begun_ahead(device: str, packed: bool, expected: int) -> None:
    found = made(Scripted(device, packed))
    assert (device, packed, expected) == (found.name, found.packed, found.in_flight)


def test_a_closed_device_lets_go_of_the_network() -> None:
    predictor = Scripted()
    network = weakref.ref(predictor)
    device = made(predictor)
    del predictor
    assert network() is not None
    device.close()
    gc.collect()
    assert network() is None
    with pytest.raises(ScoringError, match="has been closed; load it again"):
        device.begin([[1]])


def test_the_threads_that_were_asked_for_hold_in_the_device_s_own_thread() -> None:
    """Two threads beside a busy neighbour are ten times slower than one."""
    path = next((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"), None)
    if path is None:
        pytest.skip("this torch brings no OpenMP library of its own to ask")
    openmp = ctypes.CDLL(str(path))
    torch.set_num_threads(1)
    found: list[int] = []

    class Asking(Scripted):
        def begin(self, ids: Sequence[Sequence[int]], *, budget: int) -> Enqueued:
            found.append(openmp.omp_get_max_threads())
            return super().begin(ids, budget=budget)

    device = made(Asking())
    for _ in range(2):
        thread = threading.Thread(target=device.begin, args=([[1]],))
        thread.start()
        thread.join()
    assert [1, 1] == found


def test_all_devices_are_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ["cuda:0", "cuda:1"] == devices("all")
    assert [["auto"], ["cpu"], ["cuda:1"]] == [devices(d) for d in ("auto", "cpu", "cuda:1")]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ScoringError, match="use auto or cpu"):
        devices("all")
