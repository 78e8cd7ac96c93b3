"""POST /v1/documents: what is taken is durable, and every refusal says how to mend it."""

from __future__ import annotations

import gzip
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.push import DESK, NOON, SECRET, Endpoint, document, endpoint
from jsonschema import Draft202012Validator

from monitor.errors import StoreError
from monitor.events import DeadLetter, Kind, Origin, Record
from monitor.offers import offer_of, routes_of
from monitor.push.keys import ApiKey, Keyring, Meter
from monitor.push.refusal import RefusedError
from monitor.push.web import PushLimits
from monitor.source.contract import Limits
from monitor.source.decode import Decoder

SCHEMA = Path(__file__).parents[2] / "docs" / "push.schema.json"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def valid() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))


@pytest.fixture
def served() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def test_a_document_that_is_taken_waits_for_kafka_as_it_came(
    served: Endpoint, valid: Draft202012Validator
) -> None:
    told = served.post(document(id="a", author="Ann"))

    assert 202 == told.status
    assert [{"index": 0, "status": "accepted", "id": "a"}] == told.body["documents"]
    assert [("news", "a", document(id="a", author="Ann"))] == served.waiting()
    assert [1] == served.woken
    valid.validate(told.body)


def test_one_bad_document_does_not_cost_the_others(
    served: Endpoint, valid: Draft202012Validator
) -> None:
    batch = [document(id="a"), {"source": "x"}, 7, document(id="b", published_at="soon")]

    told = served.post(batch)

    assert 202 == told.status
    assert (1, 0, 3) == tuple(told.body[n] for n in ("accepted", "duplicates", "rejected"))
    reasons = [item.get("reason") for item in told.body["documents"]]
    assert [None, "missing_field", "not_an_object", "bad_date"] == reasons
    assert "published_at is missing or blank" == told.body["documents"][1]["detail"]
    assert ["a"] == [i for _, i, _ in served.waiting()]
    assert [1.0, 3.0] == [
        served.counted("monitor_push_documents_total", result=r) for r in ("accepted", "rejected")
    ]
    valid.validate(told.body)


def test_json_lines_are_taken_line_by_line(served: Endpoint) -> None:
    lines = [json.dumps(document(id="a")), "{not json", "", json.dumps(document(id="b"))]

    told = served.post("\r\n".join(lines).encode(), content_type="application/x-ndjson")

    assert ["accepted", "rejected", "accepted"] == told.statuses
    assert "not_json" == told.body["documents"][1]["reason"]


BAD = [
    b"{",
    b"7",
    b"null",
    b'{"source": "x", "published_at": "2026-03-02T11:15:00Z"}',
    b'{"source": "x", "published_at": "2027-03-02T11:15:00Z", "title": "t"}',
    b'{"source": "x", "published_at": "2026-03-02T11:15:00Z", "title": "\\ud83d"}',
    b'{"source": "x", "published_at": "2026-03-02T11:15:00Z", "title": "a\\u0000b"}',
    b'{"source": "x", "published_at": "2026-03-02T11:15:00Z", "title": "t", "url": "ftp://x"}',
    '{"source": "x", "title": "caf\u00e9"}'.encode("latin-1"),
]


@pytest.mark.parametrize("body", BAD)
def test_what_is_said_of_a_document_is_what_the_daemon_would_say(
    served: Endpoint, body: bytes
) -> None:
    decoder = Decoder(Limits(), {}, str)
    record = Record(Origin("news", 0, 0), body, None, served.clock.now())
    expected = decoder.decode(record, now=served.clock.now(), rejected_at=served.clock.now())
    assert isinstance(expected, DeadLetter)

    told = served.post(body)

    (item,) = told.body["documents"]
    assert (400, expected.reason) == (told.status, item["reason"])
    assert expected.detail == item["detail"] == told.body["detail"]
    assert PROBLEM == told.headers["content-type"]


def test_a_document_says_the_same_in_an_array_and_alone(served: Endpoint) -> None:
    spaced = json.dumps(document(id="a"), indent=2).encode()

    assert ["accepted"] == served.post(spaced).statuses
    assert ["duplicate"] == served.post([document(id="a")]).statuses


def test_a_repeated_post_is_harmless_also_without_an_id(served: Endpoint) -> None:
    first, second = served.post(document()), served.post(document())

    assert (["accepted"], ["duplicate"]) == (first.statuses, second.statuses)
    assert first.body["documents"][0]["id"] == second.body["documents"][0]["id"]
    assert 1 == len(served.waiting())


def test_another_document_under_a_known_id_is_no_duplicate(served: Endpoint) -> None:
    served.post(document(id="a"))

    told = served.post([document("Something else", id="a"), document(id="a")])

    assert ["rejected", "duplicate"] == told.statuses
    assert "id_taken" == told.body["documents"][0]["reason"]


def test_a_document_that_was_scored_is_a_duplicate() -> None:
    with endpoint(stored=["a"]) as served:
        assert ["duplicate"] == served.post(document(id="a")).statuses


def test_the_kind_decides_the_topic(served: Endpoint) -> None:
    served.post([document(id="a", kind="comment"), document(id="b")])
    served.post([document(id="c"), document(id="d", kind="news")], query="?kind=comment")

    topics = {identifier: topic for topic, identifier, _ in served.waiting()}
    assert {"a": "comments", "b": "news", "c": "comments", "d": "news"} == topics


def test_an_idempotency_key_brings_the_same_answer_again(served: Endpoint) -> None:
    batch = [document(id="a"), {}]
    first = served.post(batch, Idempotency_Key="k1")

    again = served.post(batch, Idempotency_Key="k1")
    other = served.post([document(id="b")], Idempotency_Key="k1")

    assert (202, first.body) == (again.status, again.body)
    assert 422 == other.status and "another content" in other.body["detail"]
    assert ["accepted", "rejected"] == again.statuses
    assert ["a"] == [i for _, i, _ in served.waiting()]


def test_a_request_of_which_nothing_was_taken_may_be_mended_under_its_key(
    served: Endpoint,
) -> None:
    assert 400 == served.post([{}], Idempotency_Key="k1").status
    assert 202 == served.post([document()], Idempotency_Key="k1").status


def test_two_callers_may_use_one_idempotency_key() -> None:
    other = ApiKey("press", "f" * 32)
    with endpoint([DESK, other]) as served:
        served.post(document(id="a"), Idempotency_Key="k1")
        told = served.post(document(id="b"), secret=other.secret, Idempotency_Key="k1")
    assert [{"index": 0, "status": "accepted", "id": "b"}] == told.body["documents"]


@pytest.mark.parametrize("key", ["k" * 256, "a\tb"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(served: Endpoint, key: str) -> None:
    assert 400 == served.post(document(), Idempotency_Key=key).status


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET[:-1], SECRET + "0"])
def test_without_a_known_key_nothing_is_read(served: Endpoint, secret: str | None) -> None:
    told = served.post(document(), secret=secret)

    assert (401, PROBLEM) == (told.status, told.headers["content-type"])
    assert told.headers["www-authenticate"].startswith("Bearer")
    assert SECRET not in json.dumps(told.body)
    assert [] == served.waiting()
    assert 1.0 == served.counted("monitor_push_requests_total", code="401")


def test_every_key_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest

    def counted(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return real(a, b)

    monkeypatch.setattr("monitor.push.keys.hmac.compare_digest", counted)
    ring = Keyring([replace(DESK, name=f"k{n}", secret=f"{n}" * 32) for n in range(3)])
    assert "k0" == ring.caller(f"bearer {'0' * 32}").name
    with pytest.raises(RefusedError):
        ring.caller("Bearer wrong")
    assert 6 == len(compared)


def test_a_key_for_some_sources_speaks_for_no_other() -> None:
    key = replace(DESK, sources=frozenset({"northgate-wire"}))
    with endpoint([key]) as served:
        told = served.post([document(id="a"), document(id="b", source="other")])
        alone = served.post(document(id="c", source="other"))

    assert ["accepted", "rejected"] == told.statuses
    assert "forbidden_source" == told.body["documents"][1]["reason"]
    assert 403 == alone.status and "'other'" in alone.body["detail"]


def test_without_keys_the_endpoint_is_off_and_says_so() -> None:
    with endpoint([]) as served:
        told = served.post(document())
    assert 404 == told.status and "[[http.keys]]" in told.body["detail"]


def test_when_too_much_waits_for_kafka_callers_come_again() -> None:
    with endpoint(most_waiting=2) as served:
        served.post([document(id="a"), document(id="b")])
        told = served.post([document(id="c")], Idempotency_Key="k")
        assert (429, "5") == (told.status, told.headers["retry-after"])
        assert "nothing of this request was taken" in told.body["detail"]
        served.lanes.lanes["intake"].rows.clear()
        assert ["accepted"] == served.post([document(id="c")], Idempotency_Key="k").statuses


def test_a_caller_that_sends_too_much_waits_until_its_rate_allows_more() -> None:
    with endpoint([replace(DESK, rate=2.0), ApiKey("other", "f" * 32)]) as served:
        batch = [document(id=f"{n}") for n in range(8)]
        assert 202 == served.post(batch).status
        told = served.post(document(id="x"))
        assert (429, "3") == (told.status, told.headers["retry-after"])
        assert 202 == served.post(document(id="y"), secret="f" * 32).status
        served.clock.advance(3)
        assert 202 == served.post(document(id="x")).status


def test_a_rate_holds_in_the_long_run() -> None:
    now = [0.0]
    meter, key = Meter(lambda: now[0]), replace(DESK, rate=10.0)
    sent = 0
    for tick in range(1_000):
        now[0] = tick / 10
        try:
            meter.admit(key)
        except RefusedError:
            continue
        meter.charge(key, 25)
        sent += 25
    assert 10 * 100 <= sent <= 10 * 100 + 25 + 10


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"{}", {"content_type": "text/plain"}, 415, "send application/json"),
        (b"{}", {"content_type": None}, 415, "send application/json"),
        (b"{}", {"content_type": "application/json; charset=latin-1"}, 415, "UTF-8"),
        (b"{}", {"Content_Encoding": "br"}, 415, "send gzip"),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400, "not gzip"),
        (
            gzip.compress(b"[]" * 99, mtime=0)[:-9],
            {"Content_Encoding": "gzip"},
            400,
            "ends in the middle",
        ),
        (b"[{", {}, 400, "not a JSON array"),
        (b"[NaN]", {}, 400, "not a JSON array"),
        (b"[" * 20_000, {}, 400, "not a JSON array"),
        (b'["\xff"]', {}, 400, "not UTF-8"),
        (b"[]", {}, 400, "no document"),
        (b" ", {}, 400, "no document"),
        (b"\n\n", {"content_type": "application/jsonl"}, 400, "no document"),
        (b"{}", {"query": "?kind=gossip"}, 400, "news or comment"),
    ],
)
def test_a_request_that_cannot_be_read_says_why(
    served: Endpoint, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    told = served.post(body, **headers)

    assert (status, PROBLEM) == (told.status, told.headers["content-type"])
    assert status == told.body["status"]
    assert words in told.body["detail"]
    assert [] == served.waiting()


def test_what_is_too_large_is_refused_packed_and_unpacked() -> None:
    with endpoint(limits=PushLimits(body_bytes=2_000, documents=3)) as served:
        assert 413 == served.post(b"x" * 2_001).status
        bomb = gzip.compress(b"[" + b" " * 50_000_000)
        assert 413 == served.post(bomb[:2_000], Content_Encoding="gzip").status
        assert 413 == served.post(gzip.compress(b" " * 2_001), Content_Encoding="gzip").status
        told = served.post([{}] * 4)
        assert 413 == told.status and "3 a request" in told.body["detail"]


def test_a_body_of_several_gzip_members_is_one(served: Endpoint) -> None:
    half = json.dumps([document()]).encode()
    body = gzip.compress(half[:20]) + gzip.compress(half[20:])
    assert ["accepted"] == served.post(body, Content_Encoding="gzip").statuses


def test_a_body_without_a_length_is_cut_off_where_it_is_too_large() -> None:
    with endpoint(limits=PushLimits(body_bytes=1_000)) as served:
        place = urlsplit(served.url)
        with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
            raw.sendall(
                f"POST {place.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            )
            raw.sendall(b"400\r\n" + b" " * 0x400 + b"\r\n")
            assert b" 413 " in raw.recv(4_096)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with endpoint(limits=PushLimits(seconds=0.05)) as served:
        place = urlsplit(served.url)
        with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
            raw.sendall(
                f"POST {place.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
                "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{".encode()
            )
            assert b" 408 " in raw.recv(4_096)
        assert 202 == served.post(document()).status


@pytest.mark.parametrize("written", [False, True])
def test_a_database_that_fails_is_told_and_a_repetition_is_harmless(
    served: Endpoint, written: bool
) -> None:
    served.receiving.fail("accept", StoreError("the disk of /srv is full"), written=written)

    told = served.post(document(id="a"), Idempotency_Key="k")
    again = served.post(document(id="a"), Idempotency_Key="k")

    assert (503, "5") == (told.status, told.headers["retry-after"])
    assert "/srv" not in json.dumps(told.body)
    assert (202, ["accepted"]) == (again.status, again.statuses)
    assert 1 == len(served.waiting())


def test_many_at_once_take_each_document_once(served: Endpoint) -> None:
    def send() -> None:
        for first in range(0, 40, 4):
            batch = [document(id=f"{n}") for n in range(first, first + 4)]
            statuses.extend(served.post(batch).statuses)

    statuses: list[str] = []
    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (40, 120) == (statuses.count("accepted"), statuses.count("duplicate"))
    assert 40 == len({identifier for _, identifier, _ in served.waiting()})


def test_a_kind_without_a_topic_is_named_and_goes_where_it_can_be_read() -> None:
    decoder = Decoder(Limits(), {"news": Kind.NEWS}, str)
    value = json.dumps(document(id="a", kind="comment")).encode()
    record = Record(Origin("news", -1, 0), value, None, NOON)
    found = decoder.decode(record, now=NOON, rejected_at=NOON)
    assert not isinstance(found, DeadLetter)
    assert "news" == offer_of(found, routes_of({"news": Kind.NEWS}), value).message.topic
