"""What a command says of itself: its version, and what to type."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def examples(*commands: str) -> str:
    """The end of a help text: each command on a line of its own, never wrapped, to be copied."""
    head = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", head, *(f"  {command}" for command in commands)])


def installed_version() -> str:
    """The version of this package; unknown when it runs from a folder of sources."""
    try:
        return version("monitor")
    except PackageNotFoundError:
        return "unknown"
