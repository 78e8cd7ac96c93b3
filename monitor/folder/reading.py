"""One file, from its first row that is not dealt with to its last, chunk by chunk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from monitor.errors import ConfigError, MonitorError
from monitor.folder.judge import RowJudge
from monitor.source.table import BadRow, Row, rows_in
from monitor.store.publishing.base import Message
from monitor.store.receiving.base import FileState, FileStatus, Offer, Receiving

CHUNK = 500
"""Rows of one transaction, at most …"""
_CHUNK_BYTES = 4 << 20  # … of so many bytes in all
_HASHED = 1 << 20
_SKIPPED = 50_000  # rows of one step


class UnusableFileError(MonitorError):
    """A file that can't be read to its end; its message says why."""


class ChangedFileError(MonitorError):
    """A file that was written to while it was read."""


class Mark(NamedTuple):
    """By what a file is known to be as it was: device, inode, bytes, time of its last change."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """From what the file system says."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(slots=True)
class OpenFile:
    """A regular file that is open, with the hash of its content."""

    path: Path
    file: BinaryIO
    mark: Mark
    digest: str

    def close(self) -> None:
        """Idempotent."""
        self.file.close()

    def require_unchanged(self) -> None:
        """Raises ``ChangedFileError``."""
        if Mark.of(os.fstat(self.file.fileno())) != self.mark:
            raise ChangedFileError(f"{self.path} was changed while it was read")


def open_file(
    path: Path,
    mark: Mark | None = None,
    *,
    follow: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> OpenFile:
    """Open and hash a file. Raises ``OSError``, also for whatever is no regular file and for links
    unless ``follow``; ``ChangedFileError`` where it is no longer what ``mark`` says;
    ``InterruptedError`` once ``stopped``."""
    # Not blocking: the open of a pipe would wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        found = _regular(os.fstat(file.fileno()), path)
        opened = OpenFile(path, file, mark or Mark.of(found), "")
        opened.require_unchanged()
        digest = hashlib.sha256()
        while part := file.read(_HASHED):
            _go_on(stopped)
            digest.update(part)
        opened.require_unchanged()
        opened.digest = digest.hexdigest()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return opened


def _regular(found: os.stat_result, path: Path) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def _go_on(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise InterruptedError("the daemon stops")


class Reading:
    """A file that is being read. ``state`` is what is stored of it."""

    def __init__(
        self,
        opened: OpenFile,
        state: FileState,
        judge: RowJudge,
        receiving: Receiving,
        wall: Callable[[], datetime],
    ) -> None:
        self.opened = opened
        self.state = state
        self._judge = judge
        self._receiving = receiving
        self._wall = wall
        self._rows: Iterator[Row | BadRow] = rows_in(opened.file, opened.path)
        self._behind = state.rows  # rows that were dealt with before
        self.first_rejected: str | None = None
        """Row and reason of the first dead letter of this reading."""

    def step(self) -> bool:
        """Take the next rows, in one transaction, or pass over some of those that were dealt with
        before; False: there are no more.

        Raises ``UnusableFileError`` behind the last row that can be read, and where a whole first
        chunk is wrong: then it is the file that is wrong, or its mapping, and not its rows. Raises
        ``ChangedFileError``; ``StoreError``, after which the file has to be opened anew.
        """
        offers: list[Offer] = []
        rejected: list[Message] = []
        fault: ConfigError | None = None
        size = 0
        try:
            if self._behind:
                self._skip()
                return True
            for item in islice(self._rows, CHUNK):
                judged = self._judge.judge(item, self.state)
                if isinstance(judged, Offer):
                    offers.append(judged)
                    size += len(judged.message.value)
                else:
                    rejected.append(judged)
                    size += len(judged.value)
                if size >= _CHUNK_BYTES:
                    break
        except ConfigError as error:
            fault = error
        if rejected and self.first_rejected is None:
            self.first_rejected = _named(rejected[0])
        taken = len(offers) + len(rejected)
        self.opened.require_unchanged()
        if self.state.rows == 0 and len(rejected) == CHUNK:
            raise UnusableFileError(
                f"none of the first {CHUNK} rows is a message; nothing was taken. The first: "
                f"{self.first_rejected}"
            )
        if taken:
            at = self.state.rows + taken
            self.state = self._receiving.advance(self.state, at, offers, rejected, self._wall())
        if fault is not None:
            raise UnusableFileError(str(fault)) from fault
        return taken > 0

    def end(self, fault: str | None = None) -> FileState:
        """Note that the file is read, or why it can't be; what is stored of it then."""
        good = self.state.accepted + self.state.repeated
        if fault is None and self.state.rejected and not good:
            fault = "no row is a message; mend the file or the mapping, and hand it in again"
            if self.first_rejected is not None:
                fault += f". The first: {self.first_rejected}"
        status = FileStatus.DONE if fault is None else FileStatus.FAILED
        self._receiving.end(self.state, status, fault, self._wall())
        self.state = replace(self.state, status=status, fault=fault)
        return self.state

    def _skip(self) -> None:
        rows = min(self._behind, _SKIPPED)
        self._behind -= rows
        for _ in islice(self._rows, rows):
            pass


def _named(rejected: Message) -> str:
    letter = json.loads(rejected.value)
    return f"row {letter['row']}: {letter['reason']}: {letter['detail']}"
