"""What happened to a registry: one entry for each change, and what follows from all of them."""

import getpass
import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SHIPPED: Final = "default"
"""Name of the weights that come with the package: version 0 of every registry."""

Name = Annotated[str, Field(pattern=r"^(default|[0-9a-f]{12})$")]


class Entry(BaseModel):
    """One change. In JSON `before` and `after` are `from` and `to`; numbers count from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    number: Annotated[int, Field(ge=1)]
    at: datetime
    action: Literal["add", "promote", "rollback", "remove"]
    by: str
    before: Annotated[Name | None, Field(alias="from")] = None
    after: Annotated[Name | None, Field(alias="to")] = None
    reason: str = ""

    def line(self) -> str:
        """Return the entry as one line of JSON."""
        return self.model_dump_json(by_alias=True) + "\n"


def next_entry(
    entries: Iterable[Entry],
    action: Literal["add", "promote", "rollback", "remove"],
    *,
    before: str | None,
    after: str | None,
    reason: str,
) -> Entry:
    """Return the entry that follows these, made now by the user who runs this program."""
    last = max((entry.number for entry in entries), default=0)
    now = datetime.now(UTC).replace(microsecond=0)
    return Entry(
        number=last + 1,
        at=now,
        action=action,
        by=_user(),
        before=before,
        after=after,
        reason=reason,
    )


def promoted(entries: Iterable[Entry]) -> list[str]:
    """Return the versions that a rollback goes back through, the current one last.

    A promotion puts its version on top, a rollback takes off what lies above its own; so two
    rollbacks go two promotions back, not there and back again.
    """
    stack = [SHIPPED]
    for entry in sorted(entries, key=lambda e: e.number):
        if entry.action == "promote" and entry.after:
            stack.append(entry.after)
        elif entry.action == "rollback" and entry.after in stack:
            while stack[-1] != entry.after:
                stack.pop()
        elif entry.action == "remove":
            kept = [version for version in stack if version != entry.before]
            stack = [v for i, v in enumerate(kept) if i == 0 or v != kept[i - 1]]
    return stack


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
