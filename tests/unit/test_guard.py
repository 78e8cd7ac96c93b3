from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from harness.inside import BAD_URLS, REFUSED

from monitor.errors import AddressError, ConfigError
from monitor.guard import Guard

ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


def answering(*addresses: str) -> Guard:
    return Guard(resolver=lambda _host, _port: addresses)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    guard = answering(address)
    with pytest.raises(AddressError, match="not a public address") as caught:
        guard.addresses(guard.target("https://hooks.example.com/"))
    assert caught.value.retryable


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_passes(address: str) -> None:
    guard = answering(address)
    assert len(guard.addresses(guard.target("https://hooks.example.com/"))) == 1


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Guard().target(url)


def test_the_table_of_refusals_is_a_large_one() -> None:
    assert len(set(REFUSED) | set(BAD_URLS)) >= 60


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/", "hooks.example.com"),
        ("https://Hooks.Example.COM/A?b=C", "hooks.example.com", 443, "/A?b=C", None),
        ("HTTPS://hooks.example.com:8443/x", "hooks.example.com", 8443, "/x", None),
        ("https://hooks.example.com:443/x", "hooks.example.com", 443, "/x", "hooks.example.com"),
        ("https://xn--hks-sna.example/", "xn--hks-sna.example", 443, "/", None),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2606:4700::1111]:9/", "2606:4700::1111", 9, "/", "[2606:4700::1111]:9"),
        ("https://my_host/", "my_host", 443, "/", None),
    ],
)
def test_a_good_url_is_taken_apart(
    url: str, host: str, port: int, path: str, header: str | None
) -> None:
    target = Guard().target(url)
    assert (host, port, path) == (target.host, target.port, target.path)
    assert header is None or header == target.host_header


def test_the_secret_path_of_a_target_stays_out_of_its_text() -> None:
    assert str(Guard().target("https://hooks.example.com/T0/s3cr3t")) == "https://hooks.example.com"


def test_one_bad_address_among_good_ones_refuses_them_all() -> None:
    guard = answering("8.8.8.8", "2606:4700:4700::1111", "127.0.0.1")
    with pytest.raises(AddressError, match=r"127\.0\.0\.1"):
        guard.addresses(guard.target("https://hooks.example.com/"))


def test_a_name_is_resolved_once_for_each_look() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]  # a name that rebinds
    asked: list[str] = []

    def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers.pop(0)

    guard = Guard(resolver=resolver)
    target = guard.target("https://rebind.example/")
    assert guard.addresses(target) == (ip_address("8.8.8.8"),)
    assert asked == ["rebind.example"]
    with pytest.raises(AddressError, match="not a public address"):
        guard.addresses(target)


def test_a_literal_address_is_judged_like_any_other() -> None:
    guard = Guard()
    for url in ("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:7f00:1]/"):
        with pytest.raises(AddressError, match="not a public address"):
            guard.addresses(guard.target(url))


def test_a_mapped_address_is_connected_to_as_the_ipv4_address_it_is() -> None:
    guard = answering("::ffff:8.8.8.8")
    found = guard.addresses(guard.target("https://hooks.example.com/"))
    assert found == (ip_address("8.8.8.8"),)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::5"])
def test_a_network_inside_may_be_allowed(address: str) -> None:
    guard = Guard(inside=["10.1.0.0/16", "fd12::/16"], resolver=lambda _h, _p: [address])
    assert len(guard.addresses(guard.target("https://alerts.internal/"))) == 1


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.1", "2002:a01:203::1", "fd13::5"])
def test_an_allowed_network_opens_nothing_beside_it(address: str) -> None:
    guard = Guard(inside=["10.1.0.0/16", "fd12::/16"], resolver=lambda _h, _p: [address])
    with pytest.raises(AddressError, match="not a public address"):
        guard.addresses(guard.target("https://alerts.internal/"))


def test_plain_http_is_for_listed_hosts_and_networks_only() -> None:
    def guard(*addresses: str) -> Guard:
        return Guard(
            inside=["10.0.0.0/8"],
            plain_http=["alerts.internal", "10.9.0.0/16"],
            resolver=lambda _h, _p: addresses,
        )

    for url, address in [("http://alerts.internal/", "10.1.1.1"), ("http://other/", "10.9.1.1")]:
        found = guard(address).addresses(guard().target(url))
        assert found == (ip_address(address),)
    for url, addresses in [
        ("http://other/", ["10.1.1.1"]),
        ("http://other/", ["10.9.1.1", "10.1.1.1"]),
        ("http://hooks.example.com/", ["8.8.8.8"]),
    ]:
        with pytest.raises(AddressError, match="not encrypted"):
            guard(*addresses).addresses(guard().target(url))


def test_a_listed_plain_host_may_still_not_be_inside() -> None:
    guard = Guard(plain_http=["alerts.internal"], resolver=lambda _h, _p: ["127.0.0.1"])
    with pytest.raises(AddressError, match="not a public address"):
        guard.addresses(guard.target("http://alerts.internal/"))


@pytest.mark.parametrize("answer", [[], ["fe80::1%eth0"], ["nonsense"]])
def test_a_useless_answer_of_the_resolver_is_refused(answer: list[str]) -> None:
    guard = answering(*answer)
    with pytest.raises(AddressError) as caught:
        guard.addresses(guard.target("https://hooks.example.com/"))
    assert caught.value.retryable


def test_a_name_that_does_not_resolve_can_be_tried_again() -> None:
    def resolver(_host: str, _port: int) -> Sequence[str]:
        raise OSError("name or service not known")

    guard = Guard(resolver=resolver)
    with pytest.raises(AddressError, match="can't be resolved") as caught:
        guard.addresses(guard.target("https://hooks.example.com/"))
    assert caught.value.retryable


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "all", "", "::/129"])
def test_a_bad_network_in_the_configuration_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="allow_networks"):
        Guard(inside=[text])


def test_a_bad_entry_of_plain_http_is_named() -> None:
    with pytest.raises(ConfigError, match="plain_http"):
        Guard(plain_http=["not a host"])
