"""A watched folder: files that are put there are read, once, and moved aside. None is deleted."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from monitor.clock import Clock
from monitor.folder.judge import RowJudge
from monitor.folder.reading import (
    CHUNK,
    ChangedFileError,
    Mark,
    OpenFile,
    Reading,
    UnusableFileError,
    open_file,
)
from monitor.folder.scan import Candidate, Scanner
from monitor.store.receiving.base import FileState, FileStatus, Receiving

log = logging.getLogger(__name__)

_LOOK = 0.1  # seconds between two looks for room


class FolderMetrics(Protocol):
    """What is reported of files."""

    def rows(self, accepted: int, duplicate: int, rejected: int) -> None:
        """So many more of each."""
        ...

    def file(self, outcome: str) -> None:
        """A file is ``done``, ``failed``, or ``repeated``: read before under any name."""
        ...


class FolderWatch:
    """Reads what is put into one folder. One thread at a time; `look` is its job."""

    def __init__(
        self,
        folder: Path,
        scanner: Scanner,
        judge: RowJudge,
        receiving: Receiving,
        most_waiting: int,
        clock: Clock,
        wall: Callable[[], datetime],
        metrics: FolderMetrics,
        wake: Callable[[], None],
        *,
        done: str = "done",
        failed: str = "failed",
    ) -> None:
        """``most_waiting``: so many messages may wait for Kafka; then the file has to wait."""
        self._folder = folder
        self._aside = {FileStatus.DONE: folder / done, FileStatus.FAILED: folder / failed}
        self._scanner = scanner
        self._judge = judge
        self._receiving = receiving
        self._most_waiting = most_waiting
        self._clock = clock
        self._wall = wall
        self._metrics = metrics
        self._wake = wake
        self._reading: Reading | None = None
        self._left: dict[Path, Mark] = {}  # files that could not be moved, or not be opened
        self._absent = False

    def look(self, stop: threading.Event, seconds: float) -> None:
        """Read what has settled, for about so many seconds; a file that takes longer goes on at
        the next look. Raises ``StoreError``: nothing is lost, and the next look goes on from what
        is stored."""
        until = self._clock.monotonic() + seconds
        try:
            while not stop.is_set():
                if self._reading is None and not self._begin(stop):
                    return
                if self._room():
                    self._step()
                else:
                    stop.wait(_LOOK)
                if self._clock.monotonic() >= until:
                    return
        except BaseException:
            self.close()
            raise
        self.close()

    def close(self) -> None:
        """Let go of the file that is being read, in the thread of `look`; the next look goes on
        with it. Idempotent."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.opened.close()

    def _room(self) -> bool:
        return self._receiving.backlog().messages + CHUNK <= self._most_waiting

    def _begin(self, stop: threading.Event) -> bool:
        """Open the next file that is not read yet; whether there is one."""
        for candidate in self._candidates():
            opened = self._open(candidate, stop)
            if opened is None:
                continue
            try:
                known = self._receiving.file(opened.digest)
                if known is not None and known.status is FileStatus.DONE:
                    log.info(
                        "%s was read before, as %s: it is not read again",
                        _shown(candidate.path),
                        _shown(known.name),
                    )
                    self._metrics.file("repeated")
                    self._put_aside(opened, FileStatus.DONE)
                    opened.close()
                    continue
                found = FileState(
                    opened.digest, candidate.path.name, opened.mark.size, self._clock.now()
                )
                state = self._receiving.begin(found, self._wall())
            except BaseException:
                opened.close()
                raise
            if state.rows:
                log.info("%s: going on behind row %d", _shown(candidate.path), state.rows)
            self._reading = Reading(opened, state, self._judge, self._receiving, self._wall)
            return True
        return False

    def _candidates(self) -> list[Candidate]:
        try:
            found = self._scanner.settled()
        except OSError as error:
            if not self._absent:
                log.warning(
                    "the watched folder %s can't be read (%s); it is looked for again and again",
                    self._folder,
                    error.strerror,
                )
            self._absent = True
            return []
        self._absent = False
        self._left = {c.path: c.mark for c in found if self._left.get(c.path) == c.mark}
        return [c for c in found if c.path not in self._left]

    def _open(self, candidate: Candidate, stop: threading.Event) -> OpenFile | None:
        try:
            return open_file(candidate.path, candidate.mark, stopped=stop.is_set)
        except (ChangedFileError, FileNotFoundError, InterruptedError):
            return None
        except OSError as error:
            log.warning(
                "%s can't be read (%s); give this user the right to, then touch the file",
                _shown(candidate.path),
                error.strerror,
            )
            self._left[candidate.path] = candidate.mark
            return None

    def _step(self) -> None:
        reading = self._reading
        if reading is None:
            return
        before = reading.state
        try:
            try:
                more = reading.step()
            finally:
                after = reading.state
                self._metrics.rows(
                    after.accepted - before.accepted,
                    after.repeated - before.repeated,
                    after.rejected - before.rejected,
                )
            if more:
                self._wake()
                return
            fault = None
        except UnusableFileError as error:
            self._wake()
            fault = str(error)
        except ChangedFileError as error:
            log.info("%s; it is read anew once it is left alone", error)
            self.close()
            return
        ended = reading.end(fault)
        self._tell(reading.opened.path, ended)
        self._put_aside(reading.opened, ended.status, ended.fault)
        self.close()

    def _tell(self, path: Path, state: FileState) -> None:
        level = logging.INFO if state.status is FileStatus.DONE else logging.WARNING
        log.log(
            level,
            "%s: %d rows, %d documents taken, %d known before, %d dead letters%s",
            _shown(path),
            state.rows,
            state.accepted,
            state.repeated,
            state.rejected,
            f"; {state.fault}" if state.fault else "",
        )
        self._metrics.file(state.status.value)

    def _put_aside(self, opened: OpenFile, status: FileStatus, fault: str | None = None) -> None:
        """Move the file, unless another one has its name by now. It is not read again in any case:
        what it holds is known."""
        path, folder = opened.path, self._aside[status]
        try:
            folder.mkdir(exist_ok=True)
            target = _free(folder / path.name)
            if not _is(path, opened.mark):
                return  # another one, which is read in its turn
            path.rename(target)
            if not _is(target, opened.mark):
                # Another one came between the look and the move: it belongs where it was put.
                target.rename(_free(path))
                return
        except OSError as error:
            log.warning(
                "%s can't be moved to %s (%s); it stays where it is and is not read again",
                _shown(path),
                folder,
                error.strerror,
            )
            self._left[path] = opened.mark
            return
        if fault:
            with suppress(OSError):
                target.with_name(f"{target.name}.error.txt").write_text(f"{fault}\n", "utf-8")


def _is(path: Path, mark: Mark) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (mark.device, mark.inode)


def _free(path: Path) -> Path:
    """This name, or the next one like it that no file has."""
    name, dot, suffixes = path.name.partition(".")
    number = 1
    free = path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{name}-{number}{dot}{suffixes}")
    return free


def _shown(name: Path | str) -> str:
    text = str(name)
    return text if text.isprintable() else ascii(text)
