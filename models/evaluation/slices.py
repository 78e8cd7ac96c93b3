"""Slices: parts of the labelled texts that share a trait, and whether a model fails on one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.evaluation.metrics import Counts, Interval, bootstrap
from models.text import CASHTAG, URL

SIGNIFICANCE: Final = 0.05
SMALLEST: Final = 10
"""Slices of fewer texts say nothing and are left out."""

_NUMBER: Final = re.compile(r"(?<![\w/])[+\-]?[$€£¥]?\d")
_NEGATION: Final = re.compile(
    r"\b(?:no|not|never|none|nor|neither|nothing|nobody|without|cannot|fails? to|failed to|"
    r"unable|hardly|barely|\w+n['’]t)\b",
    re.IGNORECASE,
)
_BANDS: Final = ((8, "up to 8 words"), (16, "9 to 16"), (32, "17 to 32"), (64, "33 to 64"))


def _length(text: str) -> str:
    words = len(URL.sub(" ", text).split())
    return next((name for limit, name in _BANDS if words <= limit), "over 64 words")


def _has(pattern: re.Pattern[str], *, outside_links: bool = False) -> Callable[[str], str]:
    def value(text: str) -> str:
        searched = URL.sub(" ", text) if outside_links else text
        return "with" if pattern.search(searched) else "without"

    return value


TRAITS: Final[Mapping[str, Callable[[str], str]]] = {
    "length": _length,
    "cashtag": _has(CASHTAG),
    "link": _has(URL),
    "number": _has(_NUMBER, outside_links=True),
    "negation": _has(_NEGATION),
}
"""What is seen in the text itself: name of the trait to (text -> value)."""

_ORDER: Final = {
    name: place
    for place, name in enumerate((*(n for _, n in _BANDS), "over 64 words", "with", "without"))
}


@dataclass(frozen=True, slots=True)
class Slice:
    """The scores on the texts of one value of one trait.

    `p_value`: the chance of at least so many errors in the slice if the errors of all texts fell
    on the texts at random. `below`: significantly worse than the rest at 5 % after the correction
    for the number of slices.
    """

    trait: str
    value: str
    texts: int
    accuracy: Interval
    macro_f1: Interval
    p_value: float
    below: bool


def slices(
    texts: Sequence[str],
    truth: Counts,
    predicted: Counts,
    classes: int,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Slice, ...]:
    """Return the scores of every slice of at least `SMALLEST` texts that is not all of them.

    The test is Fisher's exact test, one-sided: the upper tail of the hypergeometric distribution
    of the errors. Over all slices the error rate is held by Holm's correction (Holm 1979).

    Args:
        texts: raw texts, [n].
        truth: [n], index of the true class.
        predicted: [n], index of the predicted class.
        classes: how many there are.
        columns: further traits of the texts, name to [n] values, such as source or register;
            an empty value puts a text into no slice of that trait.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for trait, value_of in TRAITS.items():
        for row, text in enumerate(texts):
            groups.setdefault((trait, value_of(text)), []).append(row)
    for trait, values in (columns or {}).items():
        for row, value in enumerate(values):
            if value:
                groups.setdefault((trait, value), []).append(row)
    chosen = [
        (key, np.asarray(rows))
        for key, rows in groups.items()
        if SMALLEST <= len(rows) < len(texts)
    ]
    traits = [*TRAITS, *(columns or {})]
    chosen.sort(key=lambda item: (traits.index(item[0][0]), _ORDER.get(item[0][1], 99), item[0][1]))
    p_values = [_tail(truth != predicted, rows) for _, rows in chosen]
    marks = holm(p_values)
    found = []
    for ((trait, value), rows), p_value, below in zip(chosen, p_values, marks, strict=True):
        scores = bootstrap(truth[rows], predicted[rows], classes)
        found.append(
            Slice(trait, value, len(rows), scores["accuracy"], scores["macro_f1"], p_value, below)
        )
    return tuple(found)


def holm(p_values: Sequence[float], level: float = SIGNIFICANCE) -> list[bool]:
    """Return which hypotheses are rejected at this family-wise error rate.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def _tail(wrong: "np.typing.NDArray[np.bool_]", rows: Counts) -> float:
    # Imported here: scipy.stats takes half a second, and inference reaches this package.
    from scipy.stats import hypergeom

    errors = int(wrong[rows].sum())
    return float(hypergeom.sf(errors - 1, len(wrong), int(wrong.sum()), len(rows)))
