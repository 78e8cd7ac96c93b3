"""Signatures of the Standard Webhooks specification, made and verified.

The signed content is ``id.timestamp.body``; the header ``webhook-signature`` holds one signature
for each secret, so that a receiver still knowing the old secret accepts while it is being replaced.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets as random_source
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from monitor.errors import ConfigError, MonitorError

PREFIX = "whsec_"
TOLERANCE = timedelta(minutes=5)
_SECRET_BYTES = range(24, 65)  # what the specification allows


class SignatureError(MonitorError):
    """A delivery whose signature must not be trusted."""


def new_secret() -> str:
    """A fresh secret: ``whsec_`` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(random_source.token_bytes(32)).decode()


class Signer:
    """Signs and verifies with one or several secrets; none of them shows in its repr."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """``secrets``: the current one first, then those being replaced.

        Raises ``ConfigError`` naming the place of a secret that can't be one, not the secret.
        """
        if not secrets:
            raise ConfigError("a webhook receiver needs at least one secret (whsec_…)")
        self._keys = tuple(
            Webhook(_key(secret, number)) for number, secret in enumerate(secrets, start=1)
        )

    def __repr__(self) -> str:
        return f"Signer({len(self._keys)} secrets)"

    def headers(self, notification_id: str, now: datetime, body: bytes) -> dict[str, str]:
        """The three headers. ``now`` has to be zone-aware; ``body`` has to be UTF-8."""
        if now.tzinfo is None:
            raise ValueError("the time of a signature needs a zone")
        # Webhook.sign() relabels any datetime as UTC without converting it.
        moment = now.astimezone(UTC).replace(microsecond=0)
        text = body.decode()
        return {
            "webhook-id": notification_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(
                key.sign(notification_id, moment, text) for key in self._keys
            ),
        }

    def verify(
        self,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        tolerance: timedelta = TOLERANCE,
    ) -> str:
        """The webhook-id of a genuine delivery; raises ``SignatureError`` for any other.

        For receivers. The names of ``headers`` may be in any case. ``tolerance`` bounds how far
        the timestamp may be from ``now`` on either side: it is what stops a replayed request.
        """
        values = {name.lower(): value for name, value in headers.items()}
        try:
            identity, stamp, signatures = (
                values[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            )
        except KeyError as error:
            raise SignatureError(f"the header {error.args[0]} is missing") from None
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= len("99999999999")):
            raise SignatureError("webhook-timestamp is not a number of seconds")
        moment = datetime.fromtimestamp(int(stamp), UTC)
        if abs(now - moment) > tolerance:
            raise SignatureError(
                f"webhook-timestamp is {abs(now - moment)} away from this machine's clock"
            )
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise SignatureError("the body is not UTF-8") from None
        given = signatures.encode(errors="replace").split(b" ")
        for key in self._keys:
            expected = key.sign(identity, moment, text).encode()
            if any(hmac.compare_digest(expected, signature) for signature in given):
                return identity
        raise SignatureError("no signature matches: another secret, or the body was changed")


def _key(secret: str, number: int) -> bytes:
    """The bytes of a secret, checked; the library itself takes any base64, even an empty key."""
    where = f"webhook secret {number}"
    if not secret.startswith(PREFIX):
        raise ConfigError(f"{where} must begin with {PREFIX}")
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where} is not base64 after {PREFIX}") from None
    if len(key) not in _SECRET_BYTES:
        raise ConfigError(
            f"{where} holds {len(key)} bytes; it needs {_SECRET_BYTES.start} to "
            f"{_SECRET_BYTES.stop - 1} (make one with: "
            f'echo "{PREFIX}$(openssl rand -base64 32)")'
        )
    return key
