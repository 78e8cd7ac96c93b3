"""Who may hand in documents, which, and how many."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from monitor.push.refusal import RefusedError, later

_CHALLENGE = 'Bearer realm="monitor"'


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One caller."""

    name: str
    secret: str = field(repr=False)
    sources: frozenset[str] = frozenset()
    """What its documents may name as their source; empty: anything."""
    rate: float = 0.0
    """Documents a second in the long run; 0: no limit."""


class Keyring:
    """Knows a caller by the secret that it sends as a bearer token (RFC 6750)."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        # Digests are of one length, and comparing them tells nothing of a secret's beginning.
        self._keys = [(_digest(key.secret), key) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def caller(self, authorization: str | None) -> ApiKey:
        """Whose secret this is; it takes as long for any of them. Raises ``RefusedError`` (401)."""
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise RefusedError(
                401,
                "send the API key as `Authorization: Bearer SECRET`; keys are made under "
                "[[http.keys]] in the configuration",
                {"WWW-Authenticate": _CHALLENGE},
            )
        sent = _digest(secret.strip())
        found: ApiKey | None = None
        for digest, key in self._keys:
            if hmac.compare_digest(digest, sent):
                found = key
        if found is None:
            wrong = f'{_CHALLENGE}, error="invalid_token"'
            raise RefusedError(401, "this API key is not known here", {"WWW-Authenticate": wrong})
        return found


class Meter:
    """How much each caller has sent: a leaky bucket that a request may overfill once.

    A caller whose bucket holds more than a second's worth waits until it has run out so far: a
    batch larger than the rate is taken, and paid for afterwards.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._levels: dict[str, tuple[float, float]] = {}  # documents, as of when
        self._lock = threading.Lock()

    def admit(self, key: ApiKey) -> None:
        """Raises ``RefusedError`` (429) while this caller has sent too much."""
        if key.rate > 0:
            with self._lock:
                excess = self._level(key) - key.rate
            if excess > 0:
                raise later(
                    excess / key.rate,
                    f"the key {key.name} may send {key.rate:g} documents a second; "
                    "wait, or ask for a higher rate in [[http.keys]]",
                )

    def charge(self, key: ApiKey, documents: int) -> None:
        """This caller has sent so many more."""
        if key.rate > 0:
            with self._lock:
                self._levels[key.name] = (self._level(key) + documents, self._monotonic())

    def _level(self, key: ApiKey) -> float:
        level, at = self._levels.get(key.name, (0.0, 0.0))
        return max(0.0, level - (self._monotonic() - at) * key.rate)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode(errors="surrogateescape")).digest()
