"""What is written and when: ordinary days, and crises with a script of stages."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from monitor.demo.corpus.cast import (
    Author,
    Company,
    Source,
    authors,
    companies_in,
    company,
    full_name,
    sources_of,
)
from monitor.demo.corpus.facts import draw_facts
from monitor.demo.corpus.grammar import STORY_FILES, TONES, Event, events, expand, lexicon, sentence
from monitor.demo.corpus.writer import Decks, Story, article, remark

COPY: Final = "copy"
_NEWS_SHARE: Final = 0.4
_COPY_SHARE: Final = 0.1
# Shares of TONES: negative, neutral, positive.
_ORDINARY_MIX: Final = (0.25, 0.45, 0.30)
_CRISIS_MIX: Final = (0.93, 0.045, 0.025)
# Companies that people meet as customers; chatter speaks of shops and products.
_EVERYDAY: Final = (
    "food maker",
    "appliance maker",
    "retailer",
    "carmaker",
    "luxury house",
    "software firm",
    "games studio",
    "telecom operator",
    "hotel group",
    "airline",
)
# Documents per hour of the day, relative: quiet nights, busy from 07:00 to 20:00 UTC.
_RHYTHM: Final = (1, 1, 1, 1, 1, 2, 4, 8, 9, 9, 8, 8, 8, 9, 10, 10, 9, 8, 7, 6, 4, 3, 2, 1)
# How much of a crisis is told as what prices do rather than as what people go through.
_MARKET_SHARE: Final = 0.6
_CRISIS_TITLES: Final = ("UPDATE 1-", "UPDATE 2-", "Live: ", "Analysis: ", "Just in: ", "Recap: ")
CRISIS_LENGTH: Final = timedelta(hours=4, minutes=30)


@dataclass(frozen=True, slots=True)
class Script:
    """A crisis: whom it may hit, on which day of three, and its stages.

    `stages` pairs an event of the file `corpus` with the hour (from `begin`) of its height; `calm`
    is the event behind the few sober explainers, `reaction` the one of markets, at every stage.
    """

    corpus: str
    tickers: tuple[str, ...]
    day: int
    begin: timedelta
    stages: tuple[tuple[str, float], ...]
    calm: str
    reaction: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text as its writer meant it; a comment has no title. `flaw` is None or `copy`."""

    published: datetime
    source: Source
    author: str | None
    title: str | None
    text: str
    tickers: tuple[str, ...]
    tone: str
    flaw: str | None = None


SCRIPTS: Final = (
    Script(
        corpus="crisis_bank.txt",
        tickers=("VLMK", "CRWB", "TAMR", "PVFC", "OSKB", "LSRB"),
        day=1,
        begin=timedelta(hours=13),
        stages=(
            ("run_rumour", 0.4),
            ("run_denial", 1.3),
            ("run_rated", 2.1),
            ("run_halted", 2.9),
            ("run_rescue", 4.0),
        ),
        calm="run_calm",
        reaction="run_reaction",
    ),
    Script(
        corpus="crisis_safety.txt",
        tickers=("PTBN", "VRCS", "TNSY"),
        day=2,
        begin=timedelta(hours=7, minutes=30),
        stages=(
            ("scandal_break", 0.4),
            ("scandal_recall", 1.4),
            ("scandal_stock", 2.2),
            ("scandal_legal", 3.1),
            ("scandal_exit", 4.0),
        ),
        calm="scandal_plain",
        reaction="scandal_reaction",
    ),
)


class Newsroom:
    """Writes the documents of a stream from midnight `start`, drawing on one random generator."""

    def __init__(self, rng: Random, start: datetime) -> None:
        self._rng = rng
        self._start = start
        self._decks = Decks(rng)
        # Whom the crises hit has no other news: a rise in profit amid a bank run would jar.
        self._victims = {script.corpus: company(rng.choice(script.tickers)) for script in SCRIPTS}
        self._events = {
            tone: tuple(
                event for file in STORY_FILES for event in events(file) if event.tone == tone
            )
            for tone in TONES
        }
        self._event_decks: dict[str, list[Event]] = {tone: [] for tone in TONES}

    def ordinary_day(self, day: int, quota: int) -> list[Document]:
        """`quota` documents of an ordinary day: stories, what people say, chatter, copies."""
        rng = self._rng
        copies = round(quota * _COPY_SHARE)
        news_quota = round((quota - copies) * _NEWS_SHARE)
        news: list[Document] = []
        stories: list[tuple[Story, datetime]] = []
        while len(news) < news_quota:
            at = self._ordinary_time(day)
            story = self._story(at)
            stories.append((story, at))
            for _ in range(min(rng.choice((1, 1, 1, 2, 2, 3)), news_quota - len(news))):
                news.append(self._article(story, at, self._ordinary_source(story)))
                at += timedelta(minutes=rng.expovariate(1 / 30))
        documents = news + [
            self._ordinary_comment(day, stories) for _ in range(quota - copies - news_quota)
        ]
        return documents + [self._copy(rng.choice(documents)) for _ in range(copies)]

    def crisis(self, script: Script, day: int, quota: int) -> list[Document]:
        """`quota` documents about one crisis, spread over its length."""
        rng = self._rng
        victim = self._victims[script.corpus]
        begin = self._start + timedelta(days=day) + script.begin
        facts = draw_facts(victim, begin, rng, crash=True)
        stages = {
            # Explainers carry no symbol and no line on the share price.
            event.name: Story(event, None if event.name == script.calm else victim, facts)
            for event in events(script.corpus)
        }
        copies = round(quota * _COPY_SHARE * 1.3)
        news_quota = round((quota - copies) * _NEWS_SHARE)
        documents: list[Document] = []
        for number in range(quota - copies):
            # A short ramp at either end and a long plateau.
            hours = rng.uniform(0, 3.9) + rng.uniform(0, 0.6)
            at = begin + timedelta(hours=hours)
            names = [name for name, _ in script.stages]
            heat = [math.exp(-(((hours - centre) / 0.6) ** 2)) for _, centre in script.stages]
            stage = stages[rng.choices(names, heat)[0]]
            if number < news_quota:
                told = stages[script.calm] if rng.random() < 0.06 else stage
                documents.append(self._crisis_article(told, stages[script.reaction], at))
            else:
                tone = rng.choices(TONES, _CRISIS_MIX)[0]
                so_far = [stages[name] for name in names[: names.index(stage.event.name) + 1]]
                documents.append(self._crisis_comment(so_far, stages[script.reaction], tone, at))
        return documents + [self._copy(rng.choice(documents)) for _ in range(copies)]

    def _ordinary_time(self, day: int) -> datetime:
        hour = self._rng.choices(range(24), _RHYTHM)[0]
        return self._start + timedelta(days=day, hours=hour, seconds=self._rng.randrange(3600))

    def _story(self, at: datetime) -> Story:
        tone = self._rng.choices(TONES, _ORDINARY_MIX)[0]
        left = self._event_decks[tone]
        if not left:
            left.extend(self._events[tone])
            self._rng.shuffle(left)
        event = left.pop()
        hit = self._bystander(event.sectors)
        return Story(event, hit if event.of_company else None, draw_facts(hit, at, self._rng))

    def _bystander(self, sectors: tuple[str, ...]) -> Company:
        victims = self._victims.values()
        return self._rng.choice([c for c in companies_in(sectors) if c not in victims])

    def _ordinary_source(self, story: Story) -> Source:
        draw = self._rng.random()
        frames = story.event.frames
        if draw < 0.22 and "release" in frames:
            return self._rng.choice(sources_of("release"))
        if draw < 0.45 and "note" in frames:
            return self._rng.choice(sources_of("note"))
        return self._rng.choice(sources_of("wire", "paper"))

    def _article(self, story: Story, at: datetime, source: Source) -> Document:
        rng = self._rng
        title, text = article(story, source, self._decks, rng)
        author = None if source.role == "release" else full_name(rng.randrange(1700, 1790))
        tickers = story.tickers if rng.random() < 0.85 else ()
        return Document(at, source, author, title, text, tickers, story.event.tone)

    def _crisis_article(self, story: Story, reaction: Story, at: datetime) -> Document:
        rng = self._rng
        role = rng.choices((("wire",), ("paper",), ("note",)), (45, 45, 10))[0]
        told = story
        if story.event.tone == "negative" and rng.random() < _MARKET_SHARE:
            # A market report: the headline is about prices, the text also about what happened.
            theirs, ours = reaction.event.frames, story.event.frames
            frames = {**ours, "title": theirs["title"], "lead": theirs["lead"] + ours["lead"]}
            told = replace(story, event=replace(story.event, frames=frames))
        written = self._article(told, at, rng.choice(sources_of(*role)))
        title = written.title or ""
        draw = rng.random()
        if draw < 0.3:
            title = rng.choice(_CRISIS_TITLES) + title
        elif draw < 0.5:
            second = expand(self._decks.draw(story.event.frames["title"]), story.facts, rng)
            title = f"{title}; {second}" if second not in title else title
        return replace(written, title=title)

    def _ordinary_comment(self, day: int, stories: list[tuple[Story, datetime]]) -> Document:
        rng = self._rng
        tone = rng.choices(TONES, _ORDINARY_MIX)[0]
        story, at = rng.choice(stories)
        if rng.random() < 0.5:
            tone = story.event.tone
        chatter = events("chatter.txt")[0].frames[f"comment-{tone}"]
        frames = story.event.frames.get(f"comment-{tone}")
        if frames is None or rng.random() < 0.25:
            at = self._ordinary_time(day)
            hit = self._bystander(_EVERYDAY)
            return self._comment(
                Story(story.event, hit, draw_facts(hit, at, rng)), [chatter], at, tone
            )
        at += timedelta(minutes=rng.expovariate(1 / 70))
        cores = [frames, frames] if len(frames) > 2 and rng.random() < 0.2 else [frames]
        return self._comment(story, cores, at, tone)

    def _crisis_comment(
        self, so_far: list[Story], reaction: Story, tone: str, at: datetime
    ) -> Document:
        rng = self._rng
        part = f"comment-{tone}"
        stage = so_far[-1] if part in so_far[-1].event.frames else so_far[0]
        cores = [stage.event.frames[part]]
        if tone == "negative" and rng.random() < _MARKET_SHARE:
            cores.insert(0, reaction.event.frames[part])
            if rng.random() < 0.6:
                cores.pop()
        elif rng.random() < 0.35:
            cores.append(rng.choice(so_far).event.frames[part])
        return self._comment(stage, cores, at, tone)

    def _comment(
        self, story: Story, cores: list[tuple[str, ...]], at: datetime, tone: str
    ) -> Document:
        rng = self._rng
        author: Author = rng.choice(authors())
        text = remark(cores, story.facts, author, self._decks, rng)
        source = rng.choice(sources_of("forum", "micro"))
        named = story.company is not None and (f"${story.company.ticker}" in text)
        tickers = story.tickers if named or rng.random() < 0.3 else ()
        return Document(at, source, author.handle, None, text, tickers, tone)

    def _copy(self, of: Document) -> Document:
        """The same text from somewhere else: syndicated, cut short, or passed on by a reader."""
        rng = self._rng
        at = of.published + timedelta(seconds=20 + rng.expovariate(1 / 1200))
        if of.title is None:
            author = rng.choice(authors()).handle
            opening = rng.choice(lexicon()["rtopen"]).replace("{who}", of.author or "")
            text = f"{opening} {of.text}"
            if rng.random() < 0.3:
                text = text[: max(60, len(text) * 2 // 3)].rstrip() + "…"
            source = rng.choice(sources_of("forum", "micro"))
            return replace(of, published=at, source=source, author=author, text=text, flaw=COPY)
        outlets = [s for s in sources_of("wire", "paper") if s is not of.source]
        source = rng.choice(outlets)
        title, text = of.title, of.text
        draw = rng.random()
        if draw < 0.35:
            text = text[: rng.randrange(len(text) // 2, len(text))].rstrip()
            text += rng.choice(lexicon()["cut"])
        elif draw < 0.6:
            text = f"({of.source.name}) - {text}"
        if rng.random() < 0.6:
            title = rng.choice(
                (f"{title} - {of.source.name}", f"UPDATE 1-{title}", f"{title} | {source.name}")
                if rng.random() < 0.5
                else (title.upper(), f"Business: {title}", f"{title} (report)")
            )
        return replace(of, published=at, source=source, title=sentence(title), text=text, flaw=COPY)
