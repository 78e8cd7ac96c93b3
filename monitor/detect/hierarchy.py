"""Who explains whom: what of a key's excess its parents share, and which of them is to be shown.

Keys overlap: what is said of a bank counts for the bank, for its topic and for the whole stream. A
crisis of one bank lifts all three, and so does a fall of all markets. Between two keys that are in
alarm at the same time, the general one (P) and the special one (c):

- c gives most of P's excess: the special key is shown, P under it. The news is about c.
- else the shift of P without c, laid on c, gives most of c's excess: P is shown, c under it.
- else both are shown.

A company on a topic is always shown under its company, where that one is in alarm: it says where
the company's excess lies. "Most" is half. Excess is counted over the window of c, at most an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from monitor.detect.base import Recent
from monitor.events import TOPICS, Explained
from monitor.keys import ALL, is_company, is_pair, pair_key, pair_of, topic_key

MOST = 0.5
_SHIFT_WEIGHT = 10.0
"""Documents' worth of no shift at all in what the parent without the child is seen to do."""

_ALL_TOPICS = frozenset(map(topic_key, TOPICS))

RecentOf = Callable[[str], Recent]


def parents(key: str, recent: RecentOf, among: Collection[str] | None = None) -> list[str]:
    """The more general keys of a key, the closest first; of a company without its topic where no
    topic is ``among`` those that matter: to find it, all of its pairs must be asked for."""
    sort = key.partition(":")[0]
    if key == ALL:
        return []
    if sort == "pair":
        topic, company = pair_of(key)
        return [company, topic, ALL]
    if is_company(key) and (among is None or not _ALL_TOPICS.isdisjoint(among)):
        said = [(recent(pair_key(i, key)).documents, -i) for i in range(len(TOPICS))]
        most, place = max(said)
        return [topic_key(TOPICS[-place]), ALL] if most > 0 else [ALL]
    return [ALL]


def explained(child: Recent, parent: Recent, *, share: bool) -> float:
    """The part of the child's excess, 0 to 1, that the parent's shift without the child explains.

    ``share``: what is observed are negative documents, and the odds shift; else they are documents,
    and the rate does.
    """
    excess = child.observed - child.expected
    if excess <= 0:
        return 0.0
    rest = Recent(
        max(parent.documents - child.documents, 0),
        max(parent.observed - child.observed, 0.0),
        max(parent.expected - child.expected, 0.0),
    )
    if share:
        shifted = _shifted_share(child, rest, parent)
    else:
        ratio = (rest.observed + _SHIFT_WEIGHT) / (rest.expected + _SHIFT_WEIGHT)
        shifted = child.expected * ratio
    return min(max((shifted - child.expected) / excess, 0.0), 1.0)


def contributed(child: Recent, parent: Recent) -> float:
    """The part of the parent's excess, 0 to 1, that comes from the child."""
    excess = parent.observed - parent.expected
    own = child.observed - child.expected
    if excess <= 0 or own <= 0:
        return 0.0
    return min(own / excess, 1.0)


def context(key: str, recent: RecentOf, *, share: bool) -> tuple[Explained, ...]:
    """What each parent of a key explains of its excess, the closest first."""
    own = recent(key)
    return tuple(
        Explained(parent, explained(own, recent(parent), share=share))
        for parent in parents(key, recent)
    )


def arrange(
    candidates: Sequence[str],
    shown: Sequence[str],
    recent: RecentOf,
    *,
    share: bool,
) -> Mapping[str, str]:
    """Of ``candidates`` that are about to be shown: under which other key each is, if under any.

    ``shown`` are keys that are shown already and stay so, in the order in which they came; a
    candidate may come under one of them.
    """
    fresh = set(candidates)
    there = fresh.union(shown)
    under: dict[str, str] = {}
    for child in sorted(there, key=_depth, reverse=True):
        # Of two that are shown already neither can come under the other.
        above = there if child in fresh else fresh
        for parent in parents(child, recent, above):
            if parent in above and (two := _between(child, parent, there, shown, recent, share)):
                _place(under, *two, candidates)
    first: dict[str, str] = {}
    for key in filter(is_pair, shown):
        first.setdefault(pair_of(key)[1], key)
    for pair in filter(is_pair, candidates):
        if (other := first.get(pair_of(pair)[1])) is not None:
            _place(under, pair, other, candidates)  # it is the same company's day
    if ALL in under:  # news or comments: who explains the stream explains what it is made of
        for kind in candidates:
            if kind.startswith("kind:") and contributed(recent(kind), recent(ALL)) >= MOST:
                _place(under, kind, under[ALL], candidates)
    return under


def _between(
    child: str,
    parent: str,
    there: Collection[str],
    shown: Collection[str],
    recent: RecentOf,
    share: bool,
) -> tuple[str, str] | None:
    """Which of the two comes under the other, and that other; None: both stand."""
    if is_pair(child):
        company = pair_of(child)[1]
        if parent == company:  # unless the pair came first
            return (parent, child) if child in shown else (child, parent)
        if company in there:
            return None  # it speaks for the pair
    own, of_parent = recent(child), recent(parent)
    if contributed(own, of_parent) >= MOST:
        return parent, child
    return (child, parent) if explained(own, of_parent, share=share) >= MOST else None


def _place(under: dict[str, str], key: str, other: str, candidates: Sequence[str]) -> None:
    """Put a candidate under another key, unless it would come under itself in the end."""
    if key not in candidates or key in under:
        return
    root: str | None = other
    while root is not None:
        if root == key:
            return
        root = under.get(root)
    under[key] = other


def _depth(key: str) -> tuple[int, str]:
    sort = key.partition(":")[0]
    order = {ALL: 0, "kind": 1, "other": 1, "topic": 2, "watch": 3, "name": 4, "company": 4}
    return (order.get(sort, 5), key)


def _shifted_share(child: Recent, rest: Recent, parent: Recent) -> float:
    """Negative documents of the child at its own odds times the odds ratio of the parent's rest."""
    if not child.documents or not parent.documents:
        return child.expected
    base = _inside(parent.expected / parent.documents)
    now = _inside((rest.observed + _SHIFT_WEIGHT * base) / (rest.documents + _SHIFT_WEIGHT))
    own = _inside(child.expected / child.documents)
    odds = own / (1 - own) * (now / (1 - now)) / (base / (1 - base))
    return child.documents * odds / (1 + odds)


def _inside(share: float) -> float:
    return min(max(share, 1e-6), 1 - 1e-6)
