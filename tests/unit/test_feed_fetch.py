"""One conditional GET against a server on loopback that does everything a server can do."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator

import pytest
from harness.publisher import Asked, Publisher, Reply, bomb, inside, publishing, silent_port

from monitor.dial import Limits
from monitor.guard import Guard
from monitor.source.feeds.fetch import REDIRECTS, Answer, Fault, FeedError, Fetcher, Request

LIMIT = 100_000
QUICK = Limits(resolve=5, connect=5, read=0.3, total=0.6)
EVERYWHERE = ("0.0.0.0/0", "::/0")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with publishing() as server:
        yield server


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher("monitor-feeds/1 (feed reader; desk@example.com)", max_bytes=LIMIT)
    yield made
    made.close()


def fetched(fetcher: Fetcher, publisher: Publisher, path: str = "/feed") -> Answer:
    return fetcher.fetch(Request(publisher.url(path), inside(), {}))


def failed(fetcher: Fetcher, url: str, guard: Guard | None = None) -> FeedError:
    with pytest.raises(FeedError) as caught:
        fetcher.fetch(Request(url, guard or inside(), {}))
    assert caught.value.retryable
    return caught.value


def test_an_answer_comes_with_what_the_next_request_needs(
    fetcher: Fetcher, publisher: Publisher
) -> None:
    headers = {"ETag": '"v1"', "Last-Modified": "Mon, 02 Mar 2026 09:00:00 GMT"}
    publisher.pages["/feed"] = Reply(b"<rss/>", headers=headers | {"Content-Type": "text/xml"})

    answer = fetched(fetcher, publisher)

    expected = Answer(publisher.url(), b"<rss/>", "text/xml", *headers.values())
    assert expected == answer


def test_it_says_who_asks_and_what_it_takes(fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(b"<rss/>")
    fetched(fetcher, publisher)

    (asked,) = publisher.asked
    assert "monitor-feeds/1 (feed reader; desk@example.com)" == asked.headers["user-agent"]
    assert "gzip" == asked.headers["accept-encoding"]
    assert f"127.0.0.1:{publisher.port}" == asked.headers["host"]
    assert "if-none-match" not in asked.headers


def test_what_has_not_changed_is_not_sent_again(fetcher: Fetcher, publisher: Publisher) -> None:
    def unchanged(asked: Asked) -> Reply:
        known = ('"v1"', "Mon, 02 Mar 2026 09:00:00 GMT")
        found = (asked.headers["if-none-match"], asked.headers["if-modified-since"])
        return Reply(status=304 if found == known else 500)

    publisher.pages["/feed"] = unchanged
    answer = fetcher.fetch(
        Request(publisher.url(), inside(), {}, '"v1"', "Mon, 02 Mar 2026 09:00:00 GMT")
    )
    assert answer.body is None


@pytest.mark.parametrize("size", [0, 1, 70_000, LIMIT])
def test_a_packed_body_is_unpacked(fetcher: Fetcher, publisher: Publisher, size: int) -> None:
    body = b"x" * size
    headers = {"Content-Encoding": "gzip"}
    half = gzip.compress(body[: size // 2]) + gzip.compress(body[size // 2 :])
    for packed in (gzip.compress(body), half):
        publisher.pages["/feed"] = Reply(packed, headers=headers)
        assert body == fetched(fetcher, publisher).body


@pytest.mark.parametrize("size", [LIMIT + 1, 200_000_000])
def test_a_bomb_is_unpacked_no_further_than_the_limit(
    fetcher: Fetcher, publisher: Publisher, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = 0
    make = zlib.decompressobj

    class Counted:
        def __init__(self, bits: int) -> None:
            self._inner = make(bits)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal unpacked
            piece = self._inner.decompress(data, most)
            unpacked += len(piece)
            return piece

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    publisher.pages["/feed"] = Reply(bomb(size), headers={"Content-Encoding": "gzip"})

    error = failed(fetcher, publisher.url())

    assert Fault.TOO_LARGE == error.fault
    assert "max_bytes" in str(error)
    assert unpacked <= LIMIT + 1


def test_a_plain_body_over_the_limit_is_refused(fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(b"x" * (LIMIT + 1))
    assert Fault.TOO_LARGE == failed(fetcher, publisher.url()).fault


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<rss>", length=100),
        Reply(gzip.compress(b"x" * 1000)[:-9], headers={"Content-Encoding": "gzip"}),
        Reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
        Reply(b"x", headers={"Content-Encoding": "br"}),
    ],
    ids=["short", "cut", "garbage", "unasked"],
)
def test_a_damaged_body_is_no_feed(fetcher: Fetcher, publisher: Publisher, reply: Reply) -> None:
    publisher.pages["/feed"] = reply
    assert Fault.BROKEN == failed(fetcher, publisher.url()).fault


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (500, Fault.STATUS),
        (404, Fault.STATUS),
        (403, Fault.STATUS),
        (204, Fault.STATUS),
        (410, Fault.GONE),
        (429, Fault.THROTTLED),
        (503, Fault.THROTTLED),
    ],
)
def test_a_status_is_told_with_how_long_to_wait(
    fetcher: Fetcher, publisher: Publisher, status: int, fault: Fault
) -> None:
    publisher.pages["/feed"] = Reply(status=status, headers={"Retry-After": "120"})
    error = failed(fetcher, publisher.url())

    assert (fault, str(status) in str(error)) == (error.fault, True)
    assert (None if status == 410 else 120.0) == error.retry_after


def test_a_redirect_is_followed_and_one_for_good_is_told(
    fetcher: Fetcher, publisher: Publisher
) -> None:
    publisher.pages["/feed"] = Reply(status=301, headers={"Location": "/new?a=b#part"})
    publisher.pages["/new?a=b"] = Reply(status=308, headers={"Location": publisher.url("/x y")})
    publisher.pages["/x%20y"] = Reply(status=302, headers={"Location": "last"})
    publisher.pages["/last"] = Reply(b"<rss/>")

    answer = fetched(fetcher, publisher)

    assert (publisher.url("/last"), b"<rss/>") == (answer.url, answer.body)
    assert publisher.url("/x%20y") == answer.moved  # what comes after is for today only


def test_a_loop_of_redirects_ends(fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(status=302, headers={"Location": "/feed"})

    assert Fault.REDIRECTS == failed(fetcher, publisher.url()).fault
    assert REDIRECTS + 1 == len(publisher.asked)


def test_a_redirect_without_a_place_is_a_fault(fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(status=302)
    assert Fault.STATUS == failed(fetcher, publisher.url()).fault


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://10.0.0.1/",
        "http://0/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "//[fe80::1]/",
        "http://[::1",
    ],
)
def test_every_hop_is_judged_by_the_guard(
    fetcher: Fetcher, publisher: Publisher, place: str
) -> None:
    publisher.pages["/feed"] = Reply(status=302, headers={"Location": place})

    assert failed(fetcher, publisher.url()).fault in (Fault.REFUSED, Fault.REDIRECTS)
    assert 1 == len(publisher.asked)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://[::1]/", "http://10.1.2.3/feed"],
)
def test_nothing_inside_is_reached_unless_it_is_listed(fetcher: Fetcher, url: str) -> None:
    error = failed(fetcher, url, Guard((), EVERYWHERE, what="feed"))

    assert Fault.REFUSED == error.fault
    assert "allow_networks" in str(error)


def test_a_name_that_rebinds_is_judged_by_the_address_that_is_connected_to(
    fetcher: Fetcher, publisher: Publisher
) -> None:
    answers = [["127.0.0.1"], ["127.0.0.1", "10.9.9.9"]]
    guard = Guard(("127.0.0.0/8",), EVERYWHERE, lambda _host, _port: answers.pop(0), "feed")
    publisher.pages["/feed"] = Reply(status=302, headers={"Location": "/again"})
    publisher.pages["/again"] = Reply(b"<rss/>")

    error = failed(fetcher, f"http://feeds.test:{publisher.port}/feed", guard)

    assert (Fault.REFUSED, 1) == (error.fault, len(publisher.asked))


def test_secrets_are_not_sent_on_to_another_origin(fetcher: Fetcher, publisher: Publisher) -> None:
    with publishing() as other:
        publisher.pages["/feed"] = Reply(status=302, headers={"Location": "/here"})
        publisher.pages["/here"] = Reply(status=302, headers={"Location": other.url()})
        other.pages["/feed"] = Reply(b"<rss/>")
        fetcher.fetch(Request(publisher.url(), inside(), {"Authorization": "Bearer s3cret"}))

        assert ["Bearer s3cret"] * 2 == [a.headers["authorization"] for a in publisher.asked]
        (asked,) = other.asked
        assert "authorization" not in asked.headers


def test_an_encrypted_feed_may_not_lead_to_one_that_is_not(
    fetcher: Fetcher, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The TLS of the first hop is not what is tried here.
    monkeypatch.setattr(fetcher._dialer._tls, "wrap_socket", lambda s, **_: s, raising=False)
    publisher.pages["/feed"] = Reply(status=302, headers={"Location": publisher.url("/plain")})
    publisher.pages["/plain"] = Reply(b"<rss/>")

    error = failed(fetcher, publisher.url().replace("http:", "https:"))

    assert Fault.REFUSED == error.fault
    assert "not encrypted" in str(error)


def test_a_slow_drip_is_cut_off(publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(b"<rss>" * 1000, drip=True)
    fetcher = Fetcher("test", QUICK)

    assert Fault.TIMEOUT == failed(fetcher, publisher.url()).fault


def test_a_silent_server_is_cut_off() -> None:
    with silent_port() as port:
        assert Fault.TIMEOUT == failed(Fetcher("test", QUICK), f"http://127.0.0.1:{port}/").fault


def test_the_total_time_is_for_all_hops_together(publisher: Publisher) -> None:
    times = iter([0.0, 0.0, 59.0, 61.0])
    fetcher = Fetcher("test", Limits(5, 5, 5, 60), monotonic=lambda: next(times))
    publisher.pages["/feed"] = Reply(status=302, headers={"Location": "/feed"})

    assert Fault.TIMEOUT == failed(fetcher, publisher.url()).fault
    assert 2 == len(publisher.asked)


def test_a_dead_server_is_unreachable(fetcher: Fetcher, publisher: Publisher) -> None:
    publisher.alive = False
    assert Fault.UNREACHABLE == failed(fetcher, publisher.url()).fault
    with silent_port() as port:
        pass
    assert Fault.UNREACHABLE == failed(fetcher, f"http://127.0.0.1:{port}/").fault


def test_a_name_that_does_not_resolve_is_unreachable(fetcher: Fetcher) -> None:
    def resolver(_host: str, _port: int) -> list[str]:
        raise OSError("name or service not known")

    guard = Guard((), EVERYWHERE, resolver, "feed")
    assert Fault.UNREACHABLE == failed(fetcher, "http://nowhere.test/", guard).fault


def test_what_is_not_http_is_unreachable(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"220 mail.example ESMTP\r\n" * 5)

        threading.Thread(target=babble, daemon=True).start()
        error = failed(fetcher, f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert Fault.UNREACHABLE == error.fault


def test_a_closed_fetcher_reaches_nobody(publisher: Publisher) -> None:
    publisher.pages["/feed"] = Reply(b"<rss/>")
    fetcher = Fetcher("test")
    fetcher.close()
    assert failed(fetcher, publisher.url()).fault in (Fault.TIMEOUT, Fault.UNREACHABLE)


@pytest.mark.parametrize("tag", ["x" * 513, "", " "])
def test_a_validator_that_is_none_is_not_kept(
    fetcher: Fetcher, publisher: Publisher, tag: str
) -> None:
    publisher.pages["/feed"] = Reply(b"<rss/>", headers={"ETag": tag})
    assert fetched(fetcher, publisher).etag is None
