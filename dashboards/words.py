"""Words and figures as people read them, and the escaping of text from the internet."""

from __future__ import annotations

import html
import unicodedata
from datetime import UTC, datetime
from urllib.parse import urlsplit

_URL_MAX = 2_000


def escaped(text: str, limit: int = 300) -> str:
    """Text of unknown origin as HTML that is only text.

    Control and format characters go (they could reverse the reading order), the rest is escaped and
    isolated, so that a right-to-left title does not rearrange its neighbours. ``limit``: characters
    kept.
    """
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in text)
    line = " ".join(kept.split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    return f"<bdi>{html.escape(line)}</bdi>"


def web_address(url: str | None) -> str | None:
    """The address if it is http or https with a host and nothing hidden in it, else ``None``."""
    if url is None or len(url) > _URL_MAX or any(not c.isprintable() or c.isspace() for c in url):
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return None
    return url if usable and "@" not in parts.netloc else None


def link(text: str, url: str | None) -> str:
    """A title as HTML, linked where its address can be trusted to be a web address."""
    address = web_address(url)
    shown = escaped(text) if text.strip() else "<bdi>(no title)</bdi>"
    if address is None:
        return shown
    return (
        f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer nofollow">'
        f"{shown}</a>"
    )


def moment(at: datetime | None) -> str:
    """A time to the minute, in UTC; the page says once that all times are."""
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: ``4 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    if whole < 10 and 0 < seconds < 9.95 and seconds != whole:
        return f"{seconds:.1f} s"
    for size, unit, small, name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            show_rest = rest > 0 and (unit != "min" or whole < 600) and whole < 60 * 86_400
            return f"{whole // size:,} {unit}" + (f" {rest} {name}" if show_rest else "")
    return f"{whole} s"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as a percentage, whole unless ``digits`` asks for more."""
    return "–" if share is None else f"{share * 100:.{digits}f} %"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def rate(per_second: float) -> str:
    """Documents a second, or a minute where that reads better."""
    if per_second >= 10:
        return f"{per_second:,.0f} /s"
    if per_second >= 0.1 or per_second == 0:
        return f"{per_second:.1f} /s"
    return f"{per_second * 60:.1f} /min"
