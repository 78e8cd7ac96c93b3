"""Who may: keys with a right, or, where no key has it, the programs on this machine."""

from __future__ import annotations

from starlette.requests import Request

from monitor.http import from_this_machine
from monitor.push.keys import Keyring
from monitor.push.refusal import RefusedError


class Admission:
    """The door of endpoints that one right of ``[[http.keys]]`` opens."""

    def __init__(self, keyring: Keyring, may: frozenset[str], right: str) -> None:
        """``may`` names the keys that have the ``right``, as the configuration calls it."""
        self._keyring = keyring
        self._may = may
        self._right = right

    def check(self, request: Request) -> None:
        """A key that may; where none is configured, a program of this machine (but no page in its
        browser). Raises ``RefusedError`` (401, 403)."""
        if not self._may:
            if not from_this_machine(request):
                raise RefusedError(
                    403,
                    f"for this machine alone: no key of [[http.keys]] has {self._right} = true",
                )
            return
        caller = self._keyring.caller(request.headers.get("authorization"))
        if caller.name not in self._may:
            raise RefusedError(403, f"the key {caller.name} has not got {self._right} = true")
