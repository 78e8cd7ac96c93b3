"""When Python looks for garbage in cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG: Final = 200_000
"""Objects more than there were at the last look, before there is another: several batches' worth.
With Python's own 700 there were looks through all documents in hand while they were made."""


def spare_the_collector() -> None:
    """Once everything is built: nothing of it (torch alone: a million objects) will ever be
    garbage, and looking through it again and again cost a sixth of the time of a document.

    What documents are made of has no cycles, and goes with its last reference.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


@contextmanager
def collector_spared() -> Iterator[None]:
    """`spare_the_collector` for as long as documents are gone through."""
    thresholds = gc.get_threshold()
    spare_the_collector()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
