"""`monitor import`: the rows of files, each once, as if they had been put into a watched folder."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from monitor.config import Settings, load_settings
from monitor.decoding import make_decoder
from monitor.errors import ConfigError
from monitor.events import Kind
from monitor.folder.judge import RowJudge
from monitor.folder.reading import ChangedFileError, Reading, UnusableFileError, open_file
from monitor.opening import every_topic, kafka_settings, make_clock, open_database
from monitor.source.client import ensure_topics
from monitor.source.dispatch import Dispatcher
from monitor.source.files import FieldMap
from monitor.source.transact import KafkaTransactions
from monitor.store.publishing.sql import SqlLane, SqlPublishing
from monitor.store.receiving.base import FileState, FileStatus
from monitor.store.receiving.sql import SqlReceiving

LANE = "import"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the command line chose."""

    files: tuple[Path, ...]
    config: Path | None
    kind: Kind
    mapping: FieldMap
    history_after: float
    """Seconds."""


def parse_kind(text: str) -> Kind:
    """Raises ``ConfigError``."""
    try:
        return Kind(text)
    except ValueError:
        raise ConfigError(f"--kind {text!r}: must be news or comment") from None


def run_import(options: ImportOptions) -> int:
    """Hand in the files, one after the other; 0, or 2 when a row became a dead letter or a file
    could not be read to its end. Raises ``MonitorError``."""
    settings = load_settings(options.config)
    with ExitStack() as stack:
        engine = open_database(settings, stack)
        hand_in = _Import(settings, options, engine, stack)
        hand_in.send()  # what was left from before
        sound = [hand_in.take(path) for path in options.files]
    return 0 if all(sound) else 2


class _Import:
    """One run: the lane of imports is its own while it lasts."""

    def __init__(
        self, settings: Settings, options: ImportOptions, engine: Engine, stack: ExitStack
    ) -> None:
        topics = {topic: Kind(kind) for topic, kind in settings.kafka.topics.items()}
        if options.kind not in topics.values():
            raise ConfigError(
                f"no topic of kafka.topics has the kind {options.kind}; add one, or use another "
                "--kind"
            )
        kafka = kafka_settings(settings.kafka)
        ensure_topics(kafka, dict.fromkeys(every_topic(settings.kafka), settings.kafka.partitions))
        self._clock = make_clock(settings)
        self._judge = RowJudge(
            make_decoder(settings).decode,
            topics,
            settings.kafka.dead_letters_topic,
            options.kind,
            options.mapping,
            timedelta(seconds=options.history_after),
            self._clock,
            _wall,
        )
        lane = SqlLane(engine, LANE)
        self._receiving = SqlReceiving(engine, lane)
        self._sender = Dispatcher(
            SqlPublishing(engine, lane), lambda name: KafkaTransactions(kafka, name), page=_PAGE
        )
        stack.callback(self._sender.close)
        self._sender.open()

    def send(self) -> None:
        """Send everything that waits. Raises ``SourceError``, ``StoreError``."""
        while self._sender.step():
            pass

    def take(self, path: Path) -> bool:
        """Hand in one file and send it; whether every row was a message."""
        try:
            opened = open_file(path, follow=True)
        except OSError as error:
            raise ConfigError(f"{path} can't be read: {error.strerror}") from error
        with opened.file:
            known = self._receiving.file(opened.digest)
            if known is not None and known.status is FileStatus.DONE:
                print(f"{path}: read before, as {known.name}; nothing to do")
                return True
            found = FileState(opened.digest, path.name, opened.mark.size, self._clock.now())
            state = self._receiving.begin(found, _wall())
            reading = Reading(opened, state, self._judge, self._receiving, _wall)
            fault = None
            try:
                while reading.step():
                    self.send()
            except UnusableFileError as error:
                fault = str(error)
                self.send()
            except ChangedFileError as error:
                raise ConfigError(f"{error}; import it again once it is whole") from error
            done = reading.end(fault)
        print(
            f"{path}: {done.accepted:,} documents handed in, {done.repeated:,} known before, "
            f"{done.rejected:,} dead letters"
        )
        if done.fault:
            print(done.fault, file=sys.stderr)
        elif reading.first_rejected is not None:
            print(
                f"the first dead letter: {reading.first_rejected}; the topic of the dead letters "
                "has all of them",
                file=sys.stderr,
            )
        return done.fault is None and not done.rejected


def _wall() -> datetime:
    return datetime.now(UTC)
