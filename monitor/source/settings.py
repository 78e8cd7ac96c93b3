"""How to reach a Kafka cluster: one set of settings for consumer, producer and administration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from monitor.errors import ConfigError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = (*PASSWORD_MECHANISMS, "OAUTHBEARER")
COMPRESSIONS = (None, "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Durations in seconds, sizes in bytes. Raises ``ConfigError`` that lists every fault."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """``host:port``, several separated by commas."""
    group_id: str = "monitor"
    client_id: str = "monitor"
    group_instance_id: str | None = None
    """Static membership: a restart within ``session_timeout`` causes no rebalance."""
    session_timeout: float = 45.0
    """At least 30 s in production: a C call that holds the interpreter's lock for seconds stops the
    heartbeats, and the member would be evicted."""
    max_poll_interval: float = 300.0
    """Longest time between two polls before the group takes the partitions away."""
    fetch_max_wait: float = 0.1
    """How long a broker holds a fetch that finds nothing. Whatever is asked behind it on the same
    connection waits too: with half a second the last batch of every backlog came so much later."""
    fetch_max_bytes: int = 50 * 1024 * 1024
    max_partition_fetch_bytes: int = 1024 * 1024
    connect_timeout: float = 15.0
    """How long a start waits for the first broker to answer."""
    request_timeout: float = 30.0
    api_version: tuple[int, ...] | None = None
    """The broker's version where it can't be asked (the embedded broker); None: ask."""
    check_crcs: bool = True
    """Whether what is read must fit its checksum. The embedded broker gives the markers of
    transactions none; nowhere else is there a reason to do without."""
    security_protocol: str = "PLAINTEXT"
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: str | None = field(default=None, repr=False)
    ssl_check_hostname: bool = True
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    sasl_token_file: Path | None = None
    """OAUTHBEARER: a file that holds the present token; read anew for each connection, so whoever
    renews it (a sidecar, a projected service account) only has to replace the file."""
    compression: str | None = "lz4"
    """Of what is published: None, gzip, snappy, lz4 or zstd."""
    delivery_timeout: float = 30.0
    """How long a publication may wait for its acknowledgement, retries included."""
    max_message_bytes: int = 1024 * 1024
    """Largest message that is published; the brokers' ``message.max.bytes`` must allow it."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError("kafka: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        faults: list[str] = []
        if not any(server.strip() for server in self.bootstrap_servers.split(",")):
            faults.append("bootstrap_servers is empty (give host:port)")
        if not self.group_id:
            faults.append("group_id is empty")
        durations = ("session_timeout", "max_poll_interval", "connect_timeout", "request_timeout")
        faults += [f"{name} must be positive" for name in durations if getattr(self, name) <= 0]
        if not 0 <= self.fetch_max_wait < self.request_timeout:
            faults.append("fetch_max_wait must be at least 0 and below request_timeout")
        if self.delivery_timeout <= 0:
            faults.append("delivery_timeout must be positive")
        if self.compression not in COMPRESSIONS:
            faults.append(f"compression must be one of {', '.join(map(str, COMPRESSIONS))}")
        if self.security_protocol not in PROTOCOLS:
            faults.append(f"security_protocol must be one of {', '.join(PROTOCOLS)}")
        sasl = self.security_protocol.startswith("SASL_")
        if sasl and self.sasl_mechanism not in MECHANISMS:
            faults.append(
                f"{self.security_protocol} needs a sasl_mechanism: {', '.join(MECHANISMS)}"
            )
        credentials = self.sasl_username and self.sasl_password
        if sasl and self.sasl_mechanism in PASSWORD_MECHANISMS and not credentials:
            faults.append(f"{self.sasl_mechanism} needs sasl_username and sasl_password")
        if sasl and self.sasl_mechanism == "OAUTHBEARER" and self.sasl_token_file is None:
            faults.append("OAUTHBEARER needs sasl_token_file")
        if self.sasl_mechanism is not None and not sasl:
            faults.append("sasl_mechanism needs security_protocol SASL_SSL or SASL_PLAINTEXT")
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                faults.append(f"{name}: no file {path}")
        return faults
