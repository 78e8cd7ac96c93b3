"""The registry: a folder of model directories, one of which is current.

    versions/<version>/   a model directory, never changed once it is there
    current               the journal's entry that made a version current, replaced as a whole
    history.jsonl         the journal

`current` decides. It is renamed over in one system call, so a reader finds the old version or the
new one at any moment, and so does a restart after a crash between any two calls. The journal is
replaced right after it; where a crash kept it from being, the entry in `current` fills the gap.
An empty registry, or none at all, means the weights that come with the package: version 0.
"""

import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from models import manifest as manifests
from models.errors import ModelError
from models.manifest import Manifest
from models.registry.disk import copy_durably, sync, write_durably, writing
from models.registry.journal import SHIPPED, Entry, next_entry, promoted

DEFAULT: Final = Path(__file__).parents[1] / "default"
"""The weights of the package, as `models.predict.DEFAULT`; named here too because that module
loads torch, which reading a pointer does not need."""

_VERSION: Final = re.compile(r"[0-9a-f]{12}")
_COMPANIONS: Final = ("MODEL_CARD.md", "NOTICE", "LICENSE")
_PARTS: Final = (".current.part", ".history.part")

Check = Callable[[Path], object]
"""Tries a model directory; raises ModelError when it must not become current."""


@dataclass(frozen=True, slots=True)
class Release:
    """The version that is current. `number` is that of the entry that made it so, 0: none did."""

    name: str
    path: Path
    number: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version; `manifest` is None where `fault` says what is wrong with it."""

    name: str
    path: Path
    current: bool
    written: datetime | None
    manifest: Manifest | None
    fault: str = ""


def try_out(path: Path) -> object:
    """Load the model of a directory and let it judge a few sentences; see `models.registry.trial`.

    Raises:
        ModelError: it cannot be used.
    """
    from models.registry import trial  # torch is loaded only where a model is

    return trial.try_out(path)


class Registry:
    """See the module. Readers need no lock; writers exclude each other."""

    def __init__(self, folder: Path, shipped: Path = DEFAULT) -> None:
        """`folder` need not exist before the first `add`; `shipped` is version 0."""
        self.folder = folder
        self._shipped = shipped
        self._versions = folder / "versions"
        self._pointer = folder / "current"
        self._journal = folder / "history.jsonl"

    # ---------------------------------------------------------------- reading

    def current(self) -> Release:
        """Return the version that should run; reads one small file.

        Raises:
            ModelError: the pointer is damaged, or the version that it names is not there.
        """
        entry = self._pointed()
        name = SHIPPED if entry is None or entry.after is None else entry.after
        path = self.path_of(name)
        if not (path / manifests.FILE).is_file():
            raise ModelError(
                f"{self._pointer}: names version {name}, which is not in {self._versions};"
                " put it back, or run: python -m models registry rollback"
            )
        return Release(name, path, 0 if entry is None else entry.number)

    def path_of(self, name: str) -> Path:
        """Return the model directory of a version's full name."""
        return self._shipped if name == SHIPPED else self._versions / name

    def versions(self) -> list[Version]:
        """Return every version, the shipped one first, then in the order of writing."""
        entry = self._pointed()
        current = SHIPPED if entry is None else entry.after
        found = [self._version(name, current) for name in (SHIPPED, *self._names())]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda v: (v.name != SHIPPED, v.written or oldest, v.name))

    def resolve(self, prefix: str) -> str:
        """Return the full name of a version from its first characters; `0` is the shipped one.

        Raises:
            ModelError: none or several versions begin so.
        """
        if prefix in {SHIPPED, "0"}:
            return SHIPPED
        found = [name for name in self._names() if prefix and name.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        there = ", ".join((SHIPPED, *self._names()))
        problem = "no version begins so" if not found else f"{len(found)} versions begin so"
        raise ModelError(f"{self.folder}: {prefix!r}: {problem}; there are {there}")

    def history(self) -> list[Entry]:
        """Return the journal, oldest first.

        Raises:
            ModelError: a line of it cannot be read; names it.
        """
        entries = self._read_journal()
        pointed = self._pointed()
        if pointed is not None and all(entry.number != pointed.number for entry in entries):
            entries.append(pointed)
        return sorted(entries, key=lambda entry: entry.number)

    def verify(self, check: Check | None = None) -> list[str]:
        """Return what is wrong with the registry, one sentence each; `check` tries every version.

        Raises nothing that a file in it could cause.
        """
        faults: list[str] = []
        for part in (self.current, self.history):
            try:
                part()
            except ModelError as error:
                faults.append(str(error))
        with suppress(FileNotFoundError):
            faults += [
                f"{path}: is no version; remove it"
                for path in sorted(self._versions.iterdir())
                if not _VERSION.fullmatch(path.name) and not path.name.startswith(".")
            ]
        for name in (SHIPPED, *self._names()):
            try:
                self._read(name)
                if check is not None:
                    check(self.path_of(name))
            except ModelError as error:
                faults.append(str(error))
        return faults

    # ---------------------------------------------------------------- writing

    def add(self, directory: Path, reason: str = "") -> str:
        """Copy a model directory into the registry and return its version; it is not current yet.

        A version that is there already, with the same manifest, is left as it is.

        Raises:
            ModelError: it cannot be read, its hashes do not match, or the copy fails; the registry
                is then as it was.
        """
        manifest = manifests.read(directory)
        name = manifest.version
        if name == manifests.read(self._shipped).version:
            raise ModelError(
                f"{directory}: holds the weights of the package, which are always there; run:"
                f" python -m models registry promote {SHIPPED}"
            )
        with writing(self.folder):
            self._sweep()
            target = self._versions / name
            if target.exists():
                if self._read(name) == manifest:
                    return name
                raise ModelError(
                    f"{directory}: {target} has the same weights under another manifest; remove"
                    f" that version first: python -m models registry remove {name}"
                )
            self._versions.mkdir(exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".part-", dir=self._versions))
            try:
                companions = (file for file in _COMPANIONS if (directory / file).is_file())
                for file in (*manifest.files, *companions, manifests.FILE):
                    copy_durably(directory / file, staging / file)
                # The copy is what counts: the source may have changed while it was read.
                if manifests.read(staging) != manifest:
                    raise ModelError(f"{directory}: was written to while it was copied; add again")
                staging.chmod(0o755)
                sync(staging)
                self._record(
                    next_entry(self.history(), "add", before=None, after=name, reason=reason),
                    lambda: staging.rename(target),
                )
                sync(self._versions)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return name

    def promote(self, prefix: str, reason: str = "", check: Check = try_out) -> Entry:
        """Make a version current, once it has been loaded and has judged a few sentences.

        Raises:
            ModelError: unknown, current already, or it fails; the pointer is then unchanged.
        """
        with writing(self.folder):
            name = self.resolve(prefix)
            entry = self._pointed()
            current = SHIPPED if entry is None else entry.after
            if name == current:
                raise ModelError(f"{self.folder}: version {name} is current already")
            return self._move("promote", current, name, reason, check)

    def rollback(self, reason: str = "", check: Check = try_out) -> Entry:
        """Make the version current that was so before; several rollbacks go further back.

        Raises:
            ModelError: there is none before, or it fails its check.
        """
        with writing(self.folder):
            entry = self._pointed()
            current = SHIPPED if entry is None else entry.after
            there = {SHIPPED, *self._names()}
            before = [name for name in promoted(self.history())[:-1] if name in there]
            if not before:
                raise ModelError(
                    f"{self.folder}: no version was current before {current}; promote one instead"
                )
            return self._move("rollback", current, before[-1], reason, check)

    def remove(self, prefix: str, reason: str = "") -> str:
        """Delete a version that is not current and return its full name.

        Raises:
            ModelError: unknown, current, or the shipped one.
        """
        with writing(self.folder):
            name = self.resolve(prefix)
            entry = self._pointed()
            if name == SHIPPED:
                raise ModelError(f"{self._shipped}: comes with the package; it stays")
            if entry is not None and entry.after == name:
                raise ModelError(
                    f"{self.folder}: version {name} is current; promote another one first, or run:"
                    " python -m models registry rollback"
                )
            # Renamed first: no reader finds half a version. The journal comes last, since a full
            # disk, the reason why versions are removed, might refuse it.
            gone = self._versions / f".gone-{name}"
            shutil.rmtree(gone, ignore_errors=True)
            (self._versions / name).rename(gone)
            sync(self._versions)
            shutil.rmtree(gone)
            try:
                self._record(
                    next_entry(self.history(), "remove", before=name, after=None, reason=reason),
                    lambda: None,
                )
            except OSError as error:
                raise ModelError(
                    f"{self._journal}: cannot be written ({error.strerror}); version {name} is"
                    " removed all the same"
                ) from error
        return name

    # ---------------------------------------------------------------- inside

    def _move(
        self,
        action: Literal["promote", "rollback"],
        before: str | None,
        after: str,
        reason: str,
        check: Check,
    ) -> Entry:
        self._read(after)
        check(self.path_of(after))
        entry = next_entry(self.history(), action, before=before, after=after, reason=reason)
        part = self.folder / ".current.part"
        write_durably(part, entry.line())

        def point() -> None:
            part.replace(self._pointer)
            sync(self.folder)

        try:
            self._record(entry, point)
        finally:
            part.unlink(missing_ok=True)
        return entry

    def _record(self, entry: Entry, change: Callable[[], object]) -> None:
        """Make the change between writing the new journal beside the old one and renaming it."""
        part = self.folder / ".history.part"
        write_durably(part, "".join(e.line() for e in (*self.history(), entry)))
        try:
            change()
            part.replace(self._journal)
        finally:
            part.unlink(missing_ok=True)
        sync(self.folder)

    def _sweep(self) -> None:
        """Clear away what a crash left behind; nobody else is writing."""
        for part in _PARTS:
            (self.folder / part).unlink(missing_ok=True)
        for left in (*self._versions.glob(".part-*"), *self._versions.glob(".gone-*")):
            shutil.rmtree(left, ignore_errors=True)

    def _names(self) -> list[str]:
        try:
            return sorted(p.name for p in self._versions.iterdir() if _VERSION.fullmatch(p.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ModelError(f"{self._versions}: cannot be read ({error.strerror})") from error

    def _read(self, name: str) -> Manifest:
        manifest = manifests.read(self.path_of(name))
        if name not in {SHIPPED, manifest.version}:
            raise ModelError(
                f"{self.path_of(name)}: holds version {manifest.version}; restore or remove it"
            )
        return manifest

    def _version(self, name: str, current: str | None) -> Version:
        path = self.path_of(name)
        try:
            written = datetime.fromtimestamp((path / manifests.FILE).stat().st_mtime, UTC)
        except OSError:
            written = None
        try:
            return Version(name, path, name == current, written, self._read(name))
        except ModelError as error:
            return Version(name, path, name == current, written, None, str(error))

    def _pointed(self) -> Entry | None:
        try:
            return Entry.model_validate_json(self._pointer.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(f"{self._pointer}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise ModelError(
                f"{self._pointer}: is not what this program writes; remove the file to go back to"
                " the shipped weights, then promote a version"
            ) from error

    def _read_journal(self) -> list[Entry]:
        try:
            lines = self._journal.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ModelError(f"{self._journal}: cannot be read ({error.strerror})") from error
        entries: list[Entry] = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError as error:
                raise ModelError(
                    f"{self._journal}, line {number}: is not what this program writes;"
                    " mend or remove the line"
                ) from error
        return entries
