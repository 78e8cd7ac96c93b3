"""Named tuples by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])


def maker(kind: type[T]) -> Callable[[Iterable[Any]], T]:
    """What makes a named tuple of all its fields in their order, in a third of the time of calling
    ``kind``: that and ``kind._make`` are functions in Python. Nobody counts or checks the fields.
    """
    return partial(tuple.__new__, kind)
