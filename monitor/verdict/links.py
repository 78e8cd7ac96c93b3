"""Signed links by which a receiver judges an alert without an account.

A link is good for one alert, one verdict and a time. It leads to a page that asks; only the page's
button votes, since chat programs and mail scanners open what they are sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote, urlencode

from monitor.events import Alert
from monitor.store.verdicts.base import Judgement


class LinkError(Exception):
    """A link that must not be followed; ``expired``: it was good once."""

    def __init__(self, what: str, *, expired: bool = False) -> None:
        super().__init__(what)
        self.expired = expired


def path(alert_id: str, judgement: Judgement) -> str:
    """Where a link leads to."""
    return f"/v1/alerts/{quote(alert_id, safe='')}/verdict/{judgement.value}"


class Links:
    """Makes and checks them: HMAC-SHA256 over alert, verdict and expiry."""

    def __init__(self, secret: str, public_url: str, lifetime: timedelta) -> None:
        """``public_url``: the daemon's HTTP as the receivers see it."""
        self._secret = secret.encode()
        self._base = public_url.rstrip("/")
        self._lifetime = lifetime

    def __repr__(self) -> str:
        return f"Links({self._base})"

    def of(self, alert: Alert) -> dict[str, str]:
        """A link for each verdict, by the name of its annotation; none for a drill.

        They expire a lifetime after the alert's last change (wall time): the same alert has the
        same links.
        """
        if alert.detector == "drill":
            return {}
        expires = int((alert.updated_at + self._lifetime).timestamp())
        return {
            f"verdict_{judgement.value}_url": self._link(alert.id, judgement, expires)
            for judgement in Judgement
        }

    def check(
        self, alert_id: str, judgement: Judgement, query: Mapping[str, str], now: datetime
    ) -> None:
        """Raises ``LinkError`` unless the link is ours and good at ``now``."""
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            raise LinkError("this link is not complete")
        expected = self._sign(alert_id, judgement, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise LinkError("this link was changed, or made with another secret")
        if now > datetime.fromtimestamp(int(expires), UTC):
            raise LinkError("this link has expired; use the dashboard", expired=True)

    def _link(self, alert_id: str, judgement: Judgement, expires: int) -> str:
        signature = self._sign(alert_id, judgement, str(expires))
        query = urlencode({"expires": expires, "signature": signature})
        return f"{self._base}{path(alert_id, judgement)}?{query}"

    def _sign(self, alert_id: str, judgement: Judgement, expires: str) -> str:
        # NUL separates, since no part can hold one.
        signed = "\0".join(("monitor verdict", alert_id, judgement.value, expires))
        return hmac.new(self._secret, signed.encode(errors="replace"), sha256).hexdigest()
