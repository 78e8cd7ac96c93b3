"""Keeps webhooks and feeds from reaching what only this machine's network can reach (SSRF).

A name is resolved once; every address in the answer is judged, and the connection goes to an
address that was judged: a second look-up, which could answer differently (DNS rebinding), does not
happen. An address that carries an IPv4 address inside is judged by both.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from monitor.errors import AddressError, ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) → addresses. May block; raises ``OSError``."""

_PORTS = {"https": 443, "http": 80}
_MAX_ADDRESSES = 16
_MAX_URL = 2048

# Global according to the registries of this Python's `ipaddress`, but no place for a receiver, or
# missing from its registries.
_NEVER = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments (Teredo, ORCHID, benchmarking)
        "3fff::/20",  # documentation
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = IPv6Network("::/96")
_IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, taken apart once: nothing parses the URL a second time."""

    scheme: str
    host: str
    """In lower case, without brackets."""
    port: int
    path: str
    """Path and query, as they go into the request line."""

    @property
    def host_header(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        # Without the path: the addresses of many receivers carry their secret there.
        return f"{self.scheme}://{self.host_header}"


class Guard:
    """Judges URLs and addresses. ``inside`` and ``plain_http`` are the operator's exceptions."""

    def __init__(
        self,
        inside: Collection[str] = (),
        plain_http: Collection[str] = (),
        resolver: Resolver | None = None,
        what: str = "webhook",
    ) -> None:
        """``inside``: networks (CIDR) that may be reached although they are not global.
        ``plain_http``: host names and networks that may be spoken to without TLS. ``what`` the
        URLs are of, for messages.

        Raises ``ConfigError`` for what is neither.
        """
        self._inside = tuple(_network(text, "allow_networks") for text in inside)
        named = {text.lower() for text in plain_http if _is_name(text.lower())}
        self._http_hosts = frozenset(named)
        self._http_networks = tuple(
            _network(text, "plain_http") for text in plain_http if text.lower() not in named
        )
        self._resolver = resolver or resolve
        self._what = what

    def target(self, url: str) -> Target:
        """The parts of a URL; raises ``ConfigError`` for one that is not acceptable.

        Strict on purpose: whatever two parsers could read differently is refused.
        """
        if len(url) > _MAX_URL or not _VISIBLE.fullmatch(url) or "\\" in url:
            raise ConfigError(
                f"a {self._what} URL has at most {_MAX_URL} visible ASCII characters and no "
                "backslash (write an international name in its xn-- form)"
            )
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(f"the {self._what} URL can't be read: {error}") from None
        if parts.scheme not in _PORTS:
            raise ConfigError(
                f"a {self._what} URL begins with https://, not {parts.scheme or 'this'}:"
            )
        if "@" in parts.netloc:
            raise ConfigError(f"a {self._what} URL must not carry a user name or password")
        if parts.fragment or "#" in url:
            raise ConfigError(f"a {self._what} URL must not carry a fragment (#)")
        if port == 0 or parts.netloc.endswith(":"):
            raise ConfigError(f"the port of a {self._what} URL is a number from 1 to 65535")
        host = _host(host, self._what, bracketed="[" in parts.netloc)
        if parts.scheme == "http" and not (self._http_hosts or self._http_networks):
            raise ConfigError(
                f"http://{host} is not encrypted: use https, or list the host in plain_http"
            )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)

    def addresses(self, target: Target) -> tuple[Address, ...]:
        """The judged addresses to connect to, in the resolver's order. Blocks while resolving.

        Raises ``AddressError`` when the name can't be resolved or when any of its addresses is
        refused. An operator can mend both meanwhile.
        """
        try:
            answer = self._resolver(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise AddressError(f"{target.host} can't be resolved: {error}") from error
        found = tuple(dict.fromkeys(_parse(text) for text in answer[:_MAX_ADDRESSES]))
        if not found:
            raise AddressError(f"{target.host} has no address")
        for address in found:
            if fault := self.fault(address):
                raise AddressError(
                    f"{target.host} is at {address}, {fault}; if it belongs there, "
                    "list its network in allow_networks",
                    refused=True,
                )
        if target.scheme == "http" and target.host not in self._http_hosts:
            for address in found:
                if not _within(address, self._http_networks):
                    raise AddressError(
                        f"{target} is not encrypted and {address} is not listed in plain_http",
                        refused=True,
                    )
        return found

    def fault(self, address: Address) -> str | None:
        """Why this address is refused; None when it may be connected to."""
        if _within(address, self._inside):
            return None
        inner = embedded(address)
        # A mapped or NAT64 form is as good as the address inside it.
        for form in inner if _is_wrapper(address) else (address, *inner):
            if not _is_global(form):
                return "which is not a public address" + (
                    "" if form is address else f" (as {form})"
                )
        return None


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for or tunnels to."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in net for net in (*_NAT64, _IPV4_COMPATIBLE, _IPV4_TRANSLATED)):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()


def resolve(host: str, port: int) -> list[str]:
    """The system's resolver. It has no time limit of its own."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(item[4][0]) for item in found]


def _is_wrapper(address: Address) -> bool:
    """Forms that are nothing but the IPv4 address inside."""
    return isinstance(address, IPv6Address) and (
        address.ipv4_mapped is not None or address in _NAT64[0]
    )


def _is_global(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not _within(address, _NEVER)


def _within(address: Address, networks: Collection[Network]) -> bool:
    forms = (address, *embedded(address)) if _is_wrapper(address) else (address,)
    return any(form in network for form in forms for network in networks)


def _parse(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise AddressError(f"the resolver answered {text!r}, no address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise AddressError(f"{text} is an address of one link only")
    # Connecting to a mapped address is connecting to the IPv4 address in it.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _host(host: str, what: str, *, bracketed: bool) -> str:
    """The host in lower case; a dotted quad, an IPv6 address in brackets, or a DNS name."""
    if bracketed:
        try:
            address = IPv6Address(host)
        except ValueError:
            raise ConfigError(f"[{host}] is not an IPv6 address") from None
        if address.scope_id is not None:
            raise ConfigError(f"a {what} URL must not name a network interface (%)")
        return str(address)
    if _is_name(host):
        return host
    try:
        # Octal, hexadecimal and short forms (0177.1, 0x7f000001, 127.1) are refused here.
        return str(IPv4Address(host))
    except ValueError:
        raise ConfigError(f"{host or 'nothing'} is not a host name or an address") from None


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return (
        len(host) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
    )


def _network(text: str, name: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}; write a network as 10.0.0.0/8") from None
