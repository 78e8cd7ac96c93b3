"""The faults a person can act on. Bad input is data (`events.DeadLetter`), not an exception."""

from __future__ import annotations


class MonitorError(Exception):
    """What is wrong, where, and how to mend it; ``retryable`` says whether waiting can help."""

    retryable = False


class ConfigError(MonitorError):
    """The configuration is invalid; the message lists every fault at once."""


class SourceError(MonitorError):
    """The source failed; after it the caller must seek before polling again."""

    retryable = True


class StoreError(MonitorError):
    """The database refused; the transaction was rolled back whole.

    ``retryable`` is decided for each failure: a full disk or a lock may pass, a file that is no
    database will not.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class FencedError(StoreError):
    """Another worker has moved these offsets: roll back, reload the state, seek.

    Raised by the compare-and-set on the offsets, it is what keeps a zombie from writing twice.
    """


class LeaseError(FencedError):
    """Another daemon has taken over this database. Never retryable: this daemon must end, or the
    two would take turns at fencing each other."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class ScoringError(MonitorError):
    """The model failed on this micro-batch."""


class AddressError(MonitorError):
    """A host can't be resolved, or (``refused``) lies where nothing may be reached. An operator can
    mend both."""

    retryable = True

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class DeliveryError(MonitorError):
    """The receiver did not take the notification; ``retryable`` is decided for each failure."""

    def __init__(
        self, message: str, *, retryable: bool, retry_after: float | None = None, gone: bool = False
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after  # seconds, from the receiver's Retry-After
        self.gone = gone  # 410: the endpoint wants no more of these


class BrokerError(MonitorError):
    """A local broker (embedded or Apache Kafka) could not be started or stopped."""
