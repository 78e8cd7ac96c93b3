from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from monitor.errors import AddressError, ConfigError
from monitor.guard import Guard

REFUSED = [
    # IPv4: this host, loopback, private, link-local, shared, protocol, documentation, multicast
    "0.0.0.0",  # noqa: S104 - judged, not bound
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "233.252.0.1",
    "240.0.0.1",
    "255.255.255.255",
    # IPv6: unspecified, loopback, unique local, link-local, site-local, documentation, multicast
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "ff02::1",
    "ff0e::1",
    # IPv4 inside IPv6: mapped, compatible, translated, NAT64, local NAT64, 6to4, Teredo
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:0",
    "::127.0.0.1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::c0a8:101",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "2001:0:808:808:0:0:80ff:fffe",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]

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

BAD_URLS = [
    "",
    "hooks.example.com/x",
    "//hooks.example.com/x",
    "ftp://hooks.example.com/x",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "javascript:alert(1)",
    "http://hooks.example.com/x",
    "https://",
    "https:///x",
    "https://user@hooks.example.com/",
    "https://user:pw@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://@hooks.example.com/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:/",
    "https://hooks.example.com:http/",
    "https://hooks.example.com/#part",
    "https://hooks.example.com/#",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nX-Injected: 1",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com\t/",
    " https://hooks.example.com/",
    "https://höoks.example.com/",
    "https://hooks。example。com/",
    "https://①②⑦.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1.1/",
    "https://0/",
    "https://example.0x7f/",
    "https://%31%32%37.0.0.1/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://[127.0.0.1]/",
    "https://[]/",
    "https://::1/",
    "https://-bad.example.com/",
    "https://a..example.com/",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 127 + "example.com/",
    "https://hooks.example.com/" + "x" * 2048,
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
    with pytest.raises(ConfigError, match="inside"):
        Guard(inside=[text])


def test_a_bad_entry_of_plain_http_is_named() -> None:
    with pytest.raises(ConfigError, match="plain_http"):
        Guard(plain_http=["not a host"])
