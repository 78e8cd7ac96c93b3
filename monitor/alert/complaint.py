"""One log line for each distinct error: a receiver that is down for hours must not fill the log."""

from __future__ import annotations

import logging


class Complaints:
    """Remembers the last error of each place. Not for several threads."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, str] = {}

    def failed(self, where: str, error: BaseException) -> None:
        """Log it, unless it is what was last said of this place."""
        if self._last.get(where) != str(error):
            self._last[where] = str(error)
            self._log.warning("Delivery to %s fails: %s", where, error)

    def works(self, where: str) -> None:
        """Log that the place has recovered, if it had failed."""
        if self._last.pop(where, None) is not None:
            self._log.info("Delivery to %s works again", where)
