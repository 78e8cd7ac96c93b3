"""Micro-batches by token cost: the length-aware buffer, and the search for a bad text. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_SERIAL: Final = 48
"""Bits of a serial number."""
_MIDDLE: Final = 1 << (_SERIAL - 1)
"""Serial numbers start here: what comes back gets those before."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a forward pass costs, and how much it may.

    Padded, it computes ``longest × rows`` tokens, the longest rounded up to ``multiple``; packed,
    the sum of its rows. ``budget`` is in tokens of that cost.
    """

    budget: int
    packed: bool = False
    multiple: int = 16

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"the token budget must be positive, not {self.budget}")

    def cost(self, total: int, longest: int, rows: int) -> int:
        """Tokens computed for ``rows`` texts of ``total`` tokens, the longest of so many."""
        if self.packed:
            return total
        return math.ceil(longest / self.multiple) * self.multiple * rows


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch(Generic[T]):
    """What goes through the model at once; ``cost`` in tokens, as the `Shape` counts them."""

    items: list[T]
    cost: int


class Buffer(Generic[T]):
    """Texts that wait for a device, and the choice of those that go next.

    Each micro-batch holds the oldest text and those of the nearest lengths among the
    ``look_ahead`` oldest. So age outranks length (a text goes at the latest after as many
    micro-batches as texts were before it), and still little is padded: of the runs that hold the
    oldest text, in the order of length, the one with the most tokens within the budget is taken,
    and on a mix of headlines and articles that pads no more than the best run wherever it lies.
    Without padding the first run that fills the budget will do. A text that alone exceeds the
    budget goes alone.
    """

    def __init__(self, shape: Shape, look_ahead: int) -> None:
        if look_ahead < 1:
            raise ValueError(f"the look-ahead must be positive, not {look_ahead}")
        self._shape = shape
        self._look_ahead = look_ahead
        self._next = self._first = _MIDDLE
        self._items: dict[int, T] = {}
        # A key is a length and a serial number in one integer: those compare fast.
        self._window: list[int] = []  # sorted
        self._order: deque[int] = deque()  # by age; some have gone already
        self._later: deque[int] = deque()
        self.tokens = 0
        """Of all texts that wait, without padding."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def oldest(self) -> T | None:
        """The text that goes next, whatever its length."""
        while self._order and self._order[0] not in self._items:
            self._order.popleft()
        return self._items[self._order[0]] if self._order else None

    def put(self, item: T, length: int) -> None:
        """Add the youngest text; ``length`` is its cost in tokens."""
        self._next += 1
        key = length << _SERIAL | self._next
        self._items[key] = item
        self._order.append(key)
        self.tokens += length
        if len(self._window) < self._look_ahead:
            insort(self._window, key)
        else:
            self._later.append(key)

    def put_back(self, items: Sequence[tuple[T, int]]) -> None:
        """Return (text, length) pairs that a device has not judged: they are the oldest again."""
        for item, length in reversed(items):
            self._first -= 1
            key = length << _SERIAL | self._first
            self._items[key] = item
            self._order.appendleft(key)
            self.tokens += length
            insort(self._window, key)

    def take(self) -> MicroBatch[T] | None:
        """The next micro-batch, None where nothing waits."""
        if self.oldest is None:
            return None
        low, top, total = self._run(bisect_left(self._window, self._order[0]))
        chosen = self._window[low : top + 1]
        del self._window[low : top + 1]
        items = [self._items.pop(key) for key in chosen]
        self.tokens -= total
        while self._later and len(self._window) < self._look_ahead:
            insort(self._window, self._later.popleft())
        longest = chosen[-1] >> _SERIAL
        return MicroBatch(items, self._shape.cost(total, longest, len(chosen)))

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._window.clear()
        self._order.clear()
        self._later.clear()
        self.tokens = 0

    def _run(self, anchor: int) -> tuple[int, int, int]:
        """First and last place in the window, and tokens, of the best run that holds ``anchor``."""
        window, cost, budget = self._window, self._shape.cost, self._shape.budget
        low = top = anchor
        total = longest = window[anchor] >> _SERIAL
        while low > 0:
            more = total + (window[low - 1] >> _SERIAL)
            if cost(more, longest, top - low + 2) > budget:
                break
            low -= 1
            total = more
        if self._shape.packed and low > 0:
            return low, top, total
        best = (low, top, total)
        for top in range(anchor + 1, len(window)):
            longest = window[top] >> _SERIAL
            total += longest
            while low <= anchor and cost(total, longest, top - low + 1) > budget:
                total -= window[low] >> _SERIAL
                low += 1
            if low > anchor or (self._shape.packed and low > 0):
                break
            if total > best[2]:
                best = (low, top, total)
        return best


def isolate(
    items: Sequence[T], judge: Callable[[Sequence[T]], R]
) -> tuple[list[tuple[Sequence[T], R]], list[tuple[T, Exception]]]:
    """Halve ``items``, which failed together, until each bad one stands alone.

    Returns the parts that went through, with what ``judge`` gave for them, and the bad items with
    the error of each. One bad item among n costs 2 log2(n) calls.
    """
    sound: list[tuple[Sequence[T], R]] = []
    bad: list[tuple[T, Exception]] = []
    middle = math.ceil(len(items) / 2)
    for part in (items[:middle], items[middle:]):
        if not part:
            continue
        try:
            found = judge(part)
        except Exception as error:  # noqa: BLE001 - a model raises whatever its kernels raise
            if len(part) == 1:
                bad.append((part[0], error))
                continue
            deeper = isolate(part, judge)
            sound += deeper[0]
            bad += deeper[1]
        else:
            sound.append((part, found))
    return sound, bad
