"""The whole tree, and what must hold between its sections."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    AwareDatetime,
    model_validator,
)

from monitor.config.incoming import Feed, Feeding, Http, WatchFolder
from monitor.config.outgoing import Delivery, Drill, Verdicts
from monitor.config.stream import (
    Aggregate,
    Detect,
    Entities,
    Intake,
    Kafka,
    Model,
    Sources,
    StoreSection,
    Stories,
)
from monitor.errors import ConfigError
from monitor.section import Positive, Section

_LARGEST_MESSAGE = 1_000_000  # Kafka's default is 1 MiB, its own overhead included


class Replay(Section):
    """Event time that runs faster than the clock: ``event_origin`` was "now" at ``wall_origin``."""

    event_origin: AwareDatetime
    wall_origin: AwareDatetime
    speed: Positive = 1.0


class Logs(Section):
    """Where the daemon says what it does."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "text", "json"] = "auto"


class Settings(Section):
    """The whole tree."""

    kafka: Kafka = Kafka()
    intake: Intake = Intake()
    model: Model = Model()
    aggregate: Aggregate = Aggregate()
    stories: Stories = Stories()
    detect: Detect = Detect()
    entities: Entities = Entities()
    sources: Sources = Sources()
    store: StoreSection = StoreSection()
    delivery: Delivery = Delivery()
    feeding: Feeding = Feeding()
    feeds: tuple[Feed, ...] = ()
    http: Http = Http()
    watch_folders: tuple[WatchFolder, ...] = ()
    drill: Drill = Drill()
    verdicts: Verdicts = Verdicts()
    replay: Replay | None = None
    logs: Logs = Logs()
    watchdog: Positive = 120.0
    """Seconds without progress of the main loop after which the process ends itself."""

    @model_validator(mode="after")
    def _feeds_are_told_apart_and_read(self) -> Settings:
        faults = []
        names = [feed.name for feed in self.feeds]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            faults.append(f"feeds: the names must be unique; twice here: {', '.join(twice)}")
        for feed in self.feeds:
            try:
                self.feed_topic(feed)
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def feed_topic(self, feed: Feed) -> str:
        """The topic that a feed's messages go to. Raises ``ConfigError`` if nobody reads it."""
        topics = self.kafka.topics
        if feed.topic is not None:
            if feed.topic not in topics:
                raise ConfigError(
                    f"feeds: the topic {feed.topic} of {feed.name} is not among kafka.topics, "
                    "so nobody would read it"
                )
            return feed.topic
        fitting = (topic for topic, kind in topics.items() if kind == feed.kind)
        topic = next(fitting, None)
        if topic is None:
            raise ConfigError(
                f"feeds: {feed.name} needs a topic: none of kafka.topics has the kind {feed.kind}"
            )
        return topic

    @model_validator(mode="after")
    def _drills_can_pass(self) -> Settings:
        names = [receiver.name for receiver in self.delivery.receivers]
        if self.drill.receiver is not None and self.drill.receiver not in names:
            raise ValueError(
                f"drill.receiver: {self.drill.receiver} is none of delivery.receivers "
                f"({', '.join(names) or 'there are none'})"
            )
        if self.drill.schedule and names and self.drill.deadline <= self.delivery.group_wait:
            raise ValueError(
                "drill.deadline must be longer than delivery.group_wait, which every first "
                "notification waits"
            )
        return self

    @model_validator(mode="after")
    def _what_is_handed_in_can_be_read(self) -> Settings:
        kinds = set(self.kafka.topics.values())
        lost = sorted({folder.kind for folder in self.watch_folders} - kinds)
        if lost:
            raise ValueError(
                f"watch_folders: no topic of kafka.topics has the kind {', '.join(lost)}"
            )
        places = [(folder.path, folder.pattern) for folder in self.watch_folders]
        if len(set(places)) < len(places):
            raise ValueError("watch_folders: two have the same path and pattern")
        used = self.http.keys or self.watch_folders
        if used and self.intake.max_message_bytes > _LARGEST_MESSAGE:
            raise ValueError(
                f"intake.max_message_bytes must be at most {_LARGEST_MESSAGE} where http.keys or "
                "watch_folders are set: Kafka does not take larger messages"
            )
        return self
