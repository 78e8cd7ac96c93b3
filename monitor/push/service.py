"""Checks documents that were handed in and puts them on their way to Kafka.

What is said of a document here is what the daemon would say: it is checked by the same code, as the
bytes that will lie in Kafka.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from monitor.clock import Clock
from monitor.events import DeadLetter, Kind, Origin, Record
from monitor.offers import Check, offer_of, routes_of
from monitor.push.keys import ApiKey
from monitor.push.refusal import RefusedError, later, problem
from monitor.store.receiving.base import Answer, Offer, Receiving, Request, Taken

FORBIDDEN_SOURCE = "forbidden_source"
ID_TAKEN = "id_taken"
FULL_RETRY = 5.0
"""Seconds after which a caller may try again when too much waits for Kafka."""


class PushMetrics(Protocol):
    """What is reported of documents that were pushed."""

    def documents(self, accepted: int, duplicate: int, rejected: int) -> None:
        """So many more of each."""
        ...


class Push:
    """Takes documents from callers that are known. Any thread."""

    def __init__(
        self,
        receiving: Receiving,
        check: Check,
        topics: Mapping[str, Kind],
        most_waiting: int,
        clock: Clock,
        wall: Callable[[], datetime],
        metrics: PushMetrics,
        wake: Callable[[], None],
    ) -> None:
        self._receiving = receiving
        self._check = check
        self._routes = routes_of(topics)
        self._first = next(iter(topics))
        self._most_waiting = most_waiting
        self._clock = clock
        self._wall = wall
        self._metrics = metrics
        self._wake = wake

    def take(
        self,
        caller: ApiKey,
        values: Sequence[bytes],
        kind: Kind | None = None,
        key: str | None = None,
        digest: str = "",
    ) -> Answer:
        """Check the documents and store the valid ones; what the caller is told of each.

        ``kind`` is of those that name none; ``key`` is an Idempotency-Key, ``digest`` that of the
        request's content. Raises ``RefusedError`` (429: too much waits; 422: the key was used for
        another content; 400: no topic has this kind) and ``StoreError``; then nothing is taken.
        """
        told: list[dict[str, object]] = [{"index": i} for i in range(len(values))]
        offers: list[Offer] = []
        places: list[int] = []
        topic = self._topic(kind)
        now, wall = self._clock.now(), self._wall()
        for index, value in enumerate(values):
            record = Record(Origin(topic, -1, index), value, None, wall)
            found = self._check(record, now=now, rejected_at=wall)
            if isinstance(found, DeadLetter):
                told[index] |= _rejected(found.reason, found.detail)
            elif caller.sources and found.source not in caller.sources:
                told[index] |= _rejected(
                    FORBIDDEN_SOURCE,
                    f"the key {caller.name} may not speak for {ascii(found.source)[:80]}",
                )
            else:
                offers.append(offer_of(found, self._routes, value))
                places.append(index)

        def answer(taken: Sequence[Taken]) -> Answer:
            for index, offer, what in zip(places, offers, taken, strict=True):
                told[index] |= _told(offer.message.id, what)
            return _answer(told)

        if not offers:
            self._count(told)
            return _answer(told)
        request = Request(caller.name, key, digest, answer) if key else None
        outcome = self._receiving.accept(offers, self._most_waiting, wall, request)
        if outcome.full:
            raise later(
                FULL_RETRY,
                f"{outcome.waiting:,} documents wait for Kafka and {self._most_waiting:,} may; "
                "nothing of this request was taken: send it again later",
            )
        if outcome.before is not None:
            before, told_before = outcome.before
            if before != digest:
                raise RefusedError(
                    422, f"the Idempotency-Key {ascii(key)[:80]} was used for another content"
                )
            return told_before
        said = answer(outcome.taken)
        self._wake()
        self._count(told)
        return said

    def _topic(self, kind: Kind | None) -> str:
        if kind is None:
            return self._first
        if kind not in self._routes:
            raise RefusedError(
                400, f"no topic of the configuration has the kind {kind}; see kafka.topics"
            )
        return self._routes[kind]

    def _count(self, told: Sequence[Mapping[str, object]]) -> None:
        sorts = [item["status"] for item in told]
        self._metrics.documents(*(sorts.count(s) for s in ("accepted", "duplicate", "rejected")))


def _rejected(reason: str, detail: str) -> dict[str, object]:
    return {"status": "rejected", "reason": reason, "detail": detail}


def _told(identifier: str, taken: Taken) -> dict[str, object]:
    match taken:
        case Taken.NEW:
            return {"status": "accepted", "id": identifier}
        case Taken.REPEATED:
            return {"status": "duplicate", "id": identifier}
        case Taken.CLAIMED:
            detail = "another document was handed in under this id; ids must be unique"
            return {"id": identifier, **_rejected(ID_TAKEN, detail)}


def _answer(told: Sequence[Mapping[str, object]]) -> Answer:
    sorts = [item["status"] for item in told]
    rejected = sorts.count("rejected")
    if rejected < len(told):
        body: dict[str, object] = {
            "accepted": sorts.count("accepted"),
            "duplicates": sorts.count("duplicate"),
            "rejected": rejected,
            "documents": told,
        }
        return Answer(202, json.dumps(body).encode())
    forbidden = all(item["reason"] == FORBIDDEN_SOURCE for item in told)
    status = 403 if forbidden else 400
    detail = str(told[0]["detail"]) if rejected == 1 else f"all {rejected} documents were rejected"
    return Answer(status, json.dumps(problem(status, detail, documents=told)).encode())
