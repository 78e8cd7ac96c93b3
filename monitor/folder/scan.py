"""Looks into a folder: which of its files have been left alone long enough to be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from monitor.folder.reading import Mark

log = logging.getLogger(__name__)

TEMPORARY = ("*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.swp", "*~")
"""Names that programs give to what they have not finished; so does a leading dot, ~ or _."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be read."""

    path: Path
    mark: Mark


class Scanner:
    """Remembers since when each file has been as it is. Links are not followed."""

    def __init__(
        self, folder: Path, pattern: str, settle: float, monotonic: Callable[[], float]
    ) -> None:
        """``settle``: seconds that a file must not have changed."""
        self._folder = folder
        self._pattern = pattern
        self._settle = settle
        self._monotonic = monotonic
        self._since: dict[str, tuple[Mark, float]] = {}
        self._links: set[str] = set()

    def settled(self) -> list[Candidate]:
        """The files that are as they were ``settle`` seconds ago, the oldest first. Raises
        ``OSError`` where the folder can't be read."""
        now = self._monotonic()
        since: dict[str, tuple[Mark, float]] = {}
        links: set[str] = set()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not self._meant(entry.name):
                    continue
                if entry.is_symlink():
                    links.add(entry.name)
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not entry.is_file(follow_symlinks=False):
                    continue
                mark = Mark.of(found)
                before = self._since.get(entry.name)
                same = before is not None and before[0] == mark
                since[entry.name] = before if before is not None and same else (mark, now)
        for name in sorted(links - self._links):
            log.warning(
                "%s is a link, and links are not followed; put the file itself there",
                self._folder / name,
            )
        self._since, self._links = since, links
        ready = [
            Candidate(self._folder / name, mark)
            for name, (mark, at) in since.items()
            if now - at >= self._settle
        ]
        return sorted(ready, key=lambda c: (c.mark.changed_ns, c.path.name))

    def _meant(self, name: str) -> bool:
        return (
            fnmatchcase(name, self._pattern)
            and not name.startswith((".", "~", "_"))
            and not any(fnmatchcase(name.lower(), t) for t in TEMPORARY)
        )
