"""How often a verdict changes when a text changes that should not change it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.evaluation.carriers import Carrier
from models.evaluation.metrics import Floats, Interval, percentile_interval
from models.evaluation.names import COUNTRIES, FIRST_NAMES, INVENTED, REAL
from models.evaluation.perturb import KINDS, Kind
from models.evaluation.substitute import (
    implied_gender,
    mentions,
    with_company,
    with_countries,
    with_first_name,
)
from models.labels import SENTIMENTS
from models.network import sorted_batches
from models.predict import Predictor

Observer = Callable[[int, int], None]

SHOWN: Final = 3
"""Examples of each kind and pairs of each bias table that are kept."""

_NEGATIVE: Final = SENTIMENTS.index("negative")
_POSITIVE: Final = SENTIMENTS.index("positive")


@dataclass(frozen=True, slots=True)
class Example:
    """A text before and after, and its probability of negative sentiment."""

    before: str
    after: str
    negative_before: float
    negative_after: float


@dataclass(frozen=True, slots=True)
class Flips:
    """What one kind of perturbation does. Shares are of the `changed` of all `texts`.

    `polar`: flips between negative and positive; `shift`: mean absolute change of the probability
    of negative sentiment. Intervals are 95 % Wilson intervals.
    """

    kind: str
    texts: int
    changed: int
    sentiment: Interval
    polar: Interval
    topic: Interval
    shift: float
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A name put into every carrier text, with what it did to the mean P(negative).

    `deviation` is from the mean over all names, with a 95 % bootstrap interval over the carriers.
    """

    name: str
    group: str
    negative: float
    deviation: Interval


@dataclass(frozen=True, slots=True)
class Pair:
    """Two names: the difference of their mean P(negative), and how often the sentiments differ."""

    high: str
    low: str
    difference: Interval
    flips: float


@dataclass(frozen=True, slots=True)
class Bias:
    """The bias table of one kind of name over the same carrier texts.

    `range`: of the names' mean P(negative); `unstable`: the share of carriers that are not given
    the same sentiment with all names; `groups`: the mean P(negative) of each group of names.
    """

    kind: str
    carriers: int
    names: tuple[Name, ...]
    range: float
    unstable: Interval
    groups: dict[str, float]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Robustness:
    """All that `python -m models robustness` reports."""

    texts: int
    seed: int
    flips: tuple[Flips, ...]
    bias: tuple[Bias, ...]


def measure(
    predictor: Predictor,
    texts: Sequence[Carrier],
    carriers: Sequence[Carrier],
    *,
    more: Sequence[Carrier] = (),
    enough: int = 30,
    kinds: Mapping[str, Kind] = KINDS,
    seed: int = 1,
    budget: int = 4_096,
    observer: Observer = lambda _done, _total: None,
) -> Robustness:
    """Return the flip rates on `texts` and the bias tables on `carriers`.

    Texts that the tokeniser reads alike are judged once, so changes that the model cannot see
    cost nothing. The result depends on the seed, not on the order of the kinds.

    Args:
        predictor: the model.
        texts: to perturb.
        carriers: to put names into; those with one company, country or given name serve.
        more: carriers for the tables that get fewer than `enough` from `carriers`.
        enough: see `more`.
        kinds: which perturbations.
        seed: of every choice.
        budget: padded tokens a batch.
        observer: told after each batch how many different texts are judged, and of how many.
    """
    changed = {
        name: [
            kind(carrier, np.random.default_rng([seed, _stable(name), row]))
            for row, carrier in enumerate(texts)
        ]
        for name, kind in kinds.items()
    }
    tables = [
        table if len(table.texts) >= enough or not more else larger
        for table, larger in zip(_tables(carriers), _tables(more), strict=True)
    ]
    tables = [table for table in tables if table.texts]
    wanted = [carrier.text for carrier in texts]
    wanted += [text for variants in changed.values() for text in variants]
    wanted += [text for table in tables for row in table.texts for text in row]
    sentiment, topic = _judged(predictor, wanted, budget, observer)
    size = len(texts)
    before = slice(0, size)
    flips = []
    for number, (name, variants) in enumerate(changed.items(), start=1):
        after = slice(number * size, (number + 1) * size)
        rows = np.array([v != c.text for v, c in zip(variants, texts, strict=True)])
        flips.append(
            _flips(name, texts, variants, rows, sentiment[before], sentiment[after],
                   topic[before].argmax(1) != topic[after].argmax(1))
        )  # fmt: skip
    start = size * (len(changed) + 1)
    bias = []
    for table in tables:
        shape = (len(table.texts), len(table.names))
        part = sentiment[start : start + shape[0] * shape[1]].reshape(*shape, -1)
        bias.append(_bias(table, part, seed))
        start += shape[0] * shape[1]
    return Robustness(texts=size, seed=seed, flips=tuple(flips), bias=tuple(bias))


def wilson(hits: int, total: int) -> Interval:
    """Return a share with its 95 % Wilson score interval; 0 to 1 where there is no text.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not total:
        return Interval(0.0, 0.0, 1.0)
    z = 1.959963984540054
    share = hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * (share * (1 - share) / total + (z / (2 * total)) ** 2) ** 0.5
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True, slots=True)
class _Table:
    """Names by group, and for each carrier the text with each of the names."""

    kind: str
    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]  # of each name
    texts: tuple[tuple[str, ...], ...]  # [carriers][names]


def _tables(carriers: Sequence[Carrier]) -> list[_Table]:
    companies = (*INVENTED, *REAL)
    alone = [c for c in carriers if len(c.companies) == 1]
    placed = [(c, {m.country for m in mentions(c.text)}) for c in carriers]
    # Pronouns would contradict half of the names.
    persons = [c for c in carriers if len(c.persons) == 1 and implied_gender(c.text) is None]
    return [
        _Table(
            "company",
            companies,
            tuple(("invented",) if name in INVENTED else ("real",) for name in companies),
            tuple(
                tuple(with_company(c.text, c.companies[0], name) for name in companies)
                for c in alone
            ),
        ),
        _Table(
            "country",
            tuple(country.name for country in COUNTRIES),
            tuple(() for _ in COUNTRIES),
            tuple(
                tuple(
                    with_countries(c.text, {next(iter(found)): new})
                    for new in range(len(COUNTRIES))
                )
                for c, found in placed
                if len(found) == 1
            ),
        ),
        _Table(
            "first name",
            tuple(first.name for first in FIRST_NAMES),
            tuple((first.gender, first.origin) for first in FIRST_NAMES),
            tuple(
                tuple(with_first_name(c.text, c.persons[0], first.name) for first in FIRST_NAMES)
                for c in persons
            ),
        ),
    ]


def _judged(
    predictor: Predictor, texts: Sequence[str], budget: int, observer: Observer
) -> tuple[Floats, Floats]:
    """Return the probabilities of sentiment [n, 3] and topic [n, 20]."""
    different = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    encoded = [tuple(ids) for ids in predictor.encode(list(different))]
    rows = {ids: row for row, ids in enumerate(dict.fromkeys(encoded))}
    done = 0

    def forward(batch: list[Sequence[int]]) -> dict[str, Floats]:
        nonlocal done
        found = predictor.predict(batch)
        done += len(batch)
        observer(done, len(rows))
        return {"sentiment": found.sentiment.astype(float), "topic": found.topic.astype(float)}

    found = sorted_batches(list(rows), budget, forward)  # type: ignore[arg-type]
    index = np.array([rows[encoded[different[text]]] for text in texts])
    return found["sentiment"][index], found["topic"][index]


def _flips(
    name: str,
    texts: Sequence[Carrier],
    variants: Sequence[str],
    rows: npt.NDArray[np.bool_],
    before: Floats,
    after: Floats,
    topic: npt.NDArray[np.bool_],
) -> Flips:
    old, new = before.argmax(1), after.argmax(1)
    flipped = (old != new) & rows
    polar = flipped & np.isin(old, (_NEGATIVE, _POSITIVE)) & np.isin(new, (_NEGATIVE, _POSITIVE))
    shift = np.abs(after[:, _NEGATIVE] - before[:, _NEGATIVE])
    changed = int(rows.sum())
    largest = np.argsort(-shift * flipped, kind="stable")[: min(SHOWN, int(flipped.sum()))]
    return Flips(
        kind=name,
        texts=len(texts),
        changed=changed,
        sentiment=wilson(int(flipped.sum()), changed),
        polar=wilson(int(polar.sum()), changed),
        topic=wilson(int((topic & rows).sum()), changed),
        shift=float(shift[rows].mean()) if changed else 0.0,
        examples=tuple(
            Example(
                texts[i].text,
                variants[i],
                round(float(before[i, _NEGATIVE]), 4),
                round(float(after[i, _NEGATIVE]), 4),
            )
            for i in largest
        ),
    )


def _bias(table: _Table, found: Floats, seed: int) -> Bias:
    """`found`: probabilities [carriers, names, 3]."""
    negative = found[:, :, _NEGATIVE]
    verdict = found.argmax(2)
    means = negative.mean(0)
    rng = np.random.default_rng([seed, _stable(table.kind)])
    draws = rng.multinomial(len(negative), np.full(len(negative), 1 / len(negative)), size=1_000)
    sampled = draws @ negative / len(negative)  # [rounds, names]: the same carriers for all names
    spread = sampled - sampled.mean(1, keepdims=True)
    order = np.argsort(-means, kind="stable")
    pairs = sorted(
        ((int(a), int(b)) for i, a in enumerate(order) for b in order[i + 1 :]),
        key=lambda pair: means[pair[1]] - means[pair[0]],
    )[:SHOWN]
    groups = dict.fromkeys(group for of_name in table.groups for group in of_name)
    return Bias(
        kind=table.kind,
        carriers=len(negative),
        names=tuple(
            Name(
                table.names[i],
                ", ".join(table.groups[i]),
                float(means[i]),
                percentile_interval(float(means[i] - means.mean()), spread[:, i]),
            )
            for i in order
        ),
        range=float(means.max() - means.min()),
        unstable=wilson(int((verdict != verdict[:, :1]).any(1).sum()), len(verdict)),
        groups={
            group: float(means[[group in of_name for of_name in table.groups]].mean())
            for group in groups
        },
        pairs=tuple(
            Pair(
                table.names[a],
                table.names[b],
                percentile_interval(float(means[a] - means[b]), sampled[:, a] - sampled[:, b]),
                float((verdict[:, a] != verdict[:, b]).mean()),
            )
            for a, b in pairs
        ),
    )


def _stable(name: str) -> int:
    """Return a number of the name that is the same in every process, unlike `hash`."""
    return int.from_bytes(name.encode(), "little") % (2**63)
