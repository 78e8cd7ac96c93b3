"""Writing that survives a crash, and the lock of the one writer."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import ModelError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the registry's lock; the system releases it when the process dies, however it dies.

    Raises:
        ModelError: another program holds it, or the folder cannot be written or has no space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)
    except BlockingIOError as error:
        raise ModelError(
            f"{folder}: another program is changing this registry; try again when it has ended"
        ) from error
    except OSError as error:
        where = error.filename or folder
        raise ModelError(
            f"{where}: cannot be written ({error.strerror}); nothing was changed: free space"
            " or check the permissions, and try again"
        ) from error


def write_durably(path: Path, text: str) -> None:
    """Write a file and wait until the disk has it; nothing is left behind when that fails."""
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def copy_durably(source: Path, target: Path) -> None:
    """Copy a file with its times, read-only, and wait until the disk has it."""
    shutil.copy2(source, target)
    target.chmod(0o444)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Wait until the disk has the names in a folder: a rename alone does not survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Network file systems refuse it; the rename itself has happened.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
