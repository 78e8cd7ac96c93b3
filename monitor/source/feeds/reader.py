"""One poll of one feed: fetch, parse, decide, store. What it stores is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from monitor.guard import Guard
from monitor.source.contract import Limits
from monitor.source.feeds.fetch import Answer, Fault, FeedError, Fetcher, Request
from monitor.source.feeds.message import Channel, message_of
from monitor.source.feeds.metrics import FeedMetrics
from monitor.source.feeds.parse import Parsed, parse
from monitor.source.feeds.poll import Decision, Rules, decide, keys_of
from monitor.source.feeds.schedule import Pacing, next_poll
from monitor.store.feeds.base import FeedCommit, Feeds, FeedState

log = logging.getLogger(__name__)

_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Feed:
    """One configured feed."""

    name: str
    url: str = field(repr=False)
    guard: Guard
    channel: Channel
    rules: Rules
    pacing: Pacing
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """The host that is asked first."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long items that a feed shows no more are remembered."""

    age: timedelta = timedelta(days=90)
    items: int = 20_000


class Reader:
    """Polls feeds; several threads may, each another feed."""

    def __init__(
        self,
        feeds: Feeds,
        fetcher: Fetcher,
        metrics: FeedMetrics,
        *,
        now: Callable[[], datetime],
        random: Callable[[], float],
        max_items: int = 10_000,
        keep: Keep | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._feeds = feeds
        self._fetcher = fetcher
        self._metrics = metrics
        self._now = now
        self._random = random
        self._max_items = max_items
        self._keep = keep or Keep()
        self._limits = limits or Limits()

    def poll(self, feed: Feed, state: FeedState) -> FeedState:
        """Poll once; the state that is stored now. A feed that fails is a state, not an exception.

        Raises ``StoreError``: then nothing has changed, and the same poll may be made again.
        """
        state = asked(state, feed)
        with self._metrics.seconds.time():
            try:
                answer = self._fetcher.fetch(
                    Request(feed.url, feed.guard, feed.headers, state.etag, state.last_modified)
                )
                parsed = None
                if answer.body is not None:
                    parsed = self._parsed(answer)
            except FeedError as error:
                if self._fetcher.closed:  # cut off by us, which says nothing of the feed
                    return state
                return self._failed(feed, state, error)
        return self._answered(feed, state, answer, parsed)

    def forget(self, feed: Feed) -> int:
        """Drop what is known of items that the feed shows no more; see `Keep`."""
        return self._feeds.forget(feed.name, self._now() - self._keep.age, self._keep.items)

    def _parsed(self, answer: Answer) -> Parsed:
        try:
            return parse(answer.body or b"", answer.content_type, answer.url, self._max_items)
        except FeedError:
            raise
        except Exception as error:  # of a library, on what a stranger wrote: no other feed's fault
            log.exception("the parser failed")
            said = f"the parser failed ({type(error).__name__})"
            raise FeedError(Fault.NOT_A_FEED, said) from error

    def _answered(
        self, feed: Feed, state: FeedState, answer: Answer, parsed: Parsed | None
    ) -> FeedState:
        now = self._now()
        decision = Decision([], [])
        # "Not modified" says again what the last answer said.
        fault = state.fault if parsed is None and not state.failures else None
        after = replace(
            state,
            failures=0,
            polled_at=now,
            succeeded_at=now,
            next_poll_at=next_poll(feed.pacing, 0, None, False, now, self._random),
            fault=fault,
            gone=False,
        )
        if parsed is not None:
            known = self._feeds.seen(feed.name, keys_of(parsed.items))
            decision = decide(feed.name, parsed.items, known, state.succeeded_at, feed.rules, now)
            after = replace(
                after,
                etag=answer.etag,
                last_modified=answer.last_modified,
                fault=parsed.warning,
            )
        messages = [message_of(f, feed.channel, self._limits) for f in decision.publish]
        self._feeds.apply(FeedCommit(after, decision.seen, messages, now=now))
        self._metrics.polled(after, None, (found.verdict for found in decision.found))
        if answer.moved:
            log.warning("feed %s has moved for good; put its new address into its url", feed.name)
        if parsed is not None and parsed.warning and parsed.warning != state.fault:
            log.warning("feed %s: %s", feed.name, parsed.warning)
        log.log(
            logging.INFO if messages else logging.DEBUG,
            "feed %s: %d items, %d published",
            feed.name,
            len(decision.found),
            len(messages),
        )
        return after

    def _failed(self, feed: Feed, state: FeedState, error: FeedError) -> FeedState:
        now = self._now()
        failures = state.failures + 1
        gone = error.fault is Fault.GONE
        after = replace(
            state,
            failures=failures,
            polled_at=now,
            next_poll_at=next_poll(
                feed.pacing, failures, error.retry_after, gone, now, self._random
            ),
            fault=str(error)[:_SHOWN],
            gone=gone,
        )
        self._feeds.apply(FeedCommit(after, now=now))
        self._metrics.polled(after, error.fault, ())
        log.warning("feed %s failed (%d in a row): %s", feed.name, failures, error)
        return after


def asked(state: FeedState, feed: Feed) -> FeedState:
    """The state as it is for the configured address: what another one said is no validator."""
    if state.url == feed.url:
        return state
    return replace(state, url=feed.url, etag=None, last_modified=None, failures=0, gone=False)
