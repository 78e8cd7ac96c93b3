"""Whatever Kafka brings becomes a document or a dead letter, never an exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import DeadLetter, Document, Kind, Origin, Reason, Record
from monitor.source.contract import FIELDS, FLAGS, Limits, message_schema
from monitor.source.decode import Decoder, document_id, parse_timestamp, pseudonymiser

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
REJECTED_AT = datetime(2030, 1, 1, tzinfo=UTC)
ORIGIN = Origin("comments", 3, 41)
GOOD: dict[str, Any] = {
    "source": "example.org",
    "published_at": "2024-05-17T09:00:00Z",
    "title": "The harbour reopens",
}


def decoder(limits: Limits | None = None) -> Decoder:
    kinds = {"news": Kind.NEWS, "comments": Kind.COMMENT}
    return Decoder(limits or Limits(), kinds, lambda name: f"hash of {name}")


def decode(
    value: bytes | None, *, limits: Limits | None = None, topic: str = "comments"
) -> Document | DeadLetter:
    record = Record(Origin(topic, 3, 41), value, b"key", NOW)
    return decoder(limits).decode(record, now=NOW, rejected_at=REJECTED_AT)


def message(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def accepted(value: bytes, *, topic: str = "comments") -> Document:
    found = decode(value, topic=topic)
    assert isinstance(found, Document), found
    return found


def rejected(value: bytes | None, *, limits: Limits | None = None) -> tuple[Reason, str]:
    found = decode(value, limits=limits)
    assert isinstance(found, DeadLetter), found
    return found.reason, found.detail


def test_a_full_message_becomes_a_document_with_every_field() -> None:
    full = message(
        id="a1",
        kind="news",
        text=" Ferries sail again. \n",
        url="https://example.org/harbour",
        author="Ada Example",
        lang="en-GB",
        tickers=["SHIP", " DOCK ", "SHIP"],
        mood="an unknown field is ignored",
    )

    assert accepted(full) == Document(
        id="a1",
        kind=Kind.NEWS,
        source="example.org",
        published_at=datetime(2024, 5, 17, 9, tzinfo=UTC),
        title="The harbour reopens",
        text="Ferries sail again.",
        url="https://example.org/harbour",
        author="hash of Ada Example",
        lang="en-GB",
        tickers=("SHIP", "DOCK"),
        origin=ORIGIN,
        appended_at=NOW,
    )


def test_a_dead_letter_keeps_the_bytes_the_place_and_the_wall_time() -> None:
    assert decode(b"\xff") == DeadLetter(
        ORIGIN, Reason.NOT_UTF8, "invalid start byte at byte 0", b"\xff", REJECTED_AT
    )


@pytest.mark.parametrize(
    ("topic", "kind"), [("comments", Kind.COMMENT), ("news", Kind.NEWS), ("other", Kind.NEWS)]
)
def test_the_topic_gives_the_kind_where_the_message_names_none(topic: str, kind: Kind) -> None:
    assert accepted(message(), topic=topic).kind == kind
    assert accepted(message(kind=None), topic=topic).kind == kind
    assert accepted(message(kind="news"), topic=topic).kind == Kind.NEWS


def test_the_id_is_a_stable_hash_of_source_url_and_title() -> None:
    one = accepted(message(url="https://example.org/1", text="first version")).id
    two = accepted(message(url="https://example.org/1", text="corrected", author="B")).id

    assert one == two
    assert one != accepted(message(url="https://example.org/2")).id
    assert one != accepted(message(url="https://example.org/1", source="other.org")).id
    assert len(one) == 32


def test_comments_without_a_title_under_one_page_are_different_documents() -> None:
    ids = {
        accepted(message(title=None, url="https://example.org/1", text=text, published_at=at)).id
        for text in ("so it goes", "at last")
        for at in ("2024-05-17T09:00:00Z", "2024-05-17T09:00:01Z")
    }

    assert len(ids) == 4


def test_fields_moved_across_a_boundary_give_another_id() -> None:
    assert document_id("ab", "c", "t", "", NOW) != document_id("a", "bc", "t", "", NOW)


def test_a_pseudonym_needs_its_key_and_hides_the_name() -> None:
    one, other = pseudonymiser(b"k" * 100), pseudonymiser(b"another")

    assert one("Ada") == pseudonymiser(b"k" * 100)("Ada")
    assert len({one("Ada"), other("Ada"), one("ada")}) == 3
    assert "Ada" not in one("Ada")


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, Reason.EMPTY, "no value"),
        (b"", Reason.EMPTY, "no value"),
        (b"   ", Reason.NOT_JSON, "Expecting value"),
        (b'{"source": "a"', Reason.NOT_JSON, "delimiter"),
        (b'{"source": "a"} trailing', Reason.NOT_JSON, "Extra data"),
        (b'\xef\xbb\xbf{"source": "a"}', Reason.NOT_JSON, "Expecting value"),
        (b'{"score": NaN}', Reason.NOT_JSON, "NaN is not JSON"),
        (b'{"score": -Infinity}', Reason.NOT_JSON, "-Infinity is not JSON"),
        (b'{"n": ' + b"9" * 5_000 + b"}", Reason.NOT_JSON, "4300"),
        (b"[" * 100_000, Reason.NOT_JSON, "nested too deeply"),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, Reason.NOT_JSON, "nested too deeply"),
        (b'{"title": "caf\xe9"}', Reason.NOT_UTF8, "at byte 14"),
        (b'{"title": "\xed\xa0\x80"}', Reason.NOT_UTF8, "at byte 11"),
        (b"[]", Reason.NOT_AN_OBJECT, "an array"),
        (b'"text"', Reason.NOT_AN_OBJECT, "a string"),
        (b"null", Reason.NOT_AN_OBJECT, "null"),
        (b'{"title": "a\x00b"}', Reason.CONTROL_CHARACTER, "at character 12"),
    ],
)
def test_what_is_no_json_object_is_rejected_with_its_reason(
    value: bytes | None, reason: Reason, detail: str
) -> None:
    found = rejected(value)

    assert reason == found[0]
    assert detail in found[1]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"source": None}, Reason.MISSING_FIELD, "source"),
        ({"source": " \t"}, Reason.MISSING_FIELD, "source"),
        ({"source": 7}, Reason.WRONG_TYPE, "source"),
        ({"source": "x" * 257}, Reason.TOO_LARGE, "source"),
        ({"published_at": None}, Reason.MISSING_FIELD, "published_at"),
        ({"published_at": 1_715_936_400}, Reason.WRONG_TYPE, "published_at"),
        ({"published_at": "2024-05-17 09:00:00Z"}, Reason.BAD_DATE, "published_at"),
        ({"published_at": "2024-05-17T09:00:00"}, Reason.BAD_DATE, "published_at"),
        ({"published_at": ""}, Reason.BAD_DATE, "published_at"),
        ({"published_at": "2026-02-30T00:00:00Z"}, Reason.BAD_DATE, "a day that no calendar has"),
        ({"published_at": "2026-02-28T00:00:60Z"}, Reason.BAD_DATE, "must be RFC 3339"),
        ({"title": None}, Reason.NO_TEXT, "title"),
        ({"title": " \u3000\n", "text": ""}, Reason.NO_TEXT, "title"),
        ({"title": ["a"]}, Reason.WRONG_TYPE, "title"),
        ({"title": "x" * 4_001}, Reason.TOO_LARGE, "title"),
        ({"text": {"html": "a"}}, Reason.WRONG_TYPE, "text"),
        ({"text": False}, Reason.WRONG_TYPE, "text"),
        ({"id": 12}, Reason.WRONG_TYPE, "id"),
        ({"id": "x" * 257}, Reason.TOO_LARGE, "id"),
        ({"kind": "blog"}, Reason.WRONG_TYPE, "kind"),
        ({"kind": ["news"]}, Reason.WRONG_TYPE, "kind"),
        ({"url": "javascript:alert(1)"}, Reason.WRONG_TYPE, "url"),
        ({"url": "https://a b"}, Reason.WRONG_TYPE, "url"),
        ({"url": "https://" + "x" * 5_000}, Reason.TOO_LARGE, "url"),
        ({"author": ["Ada"]}, Reason.WRONG_TYPE, "author"),
        ({"author": "x" * 513}, Reason.TOO_LARGE, "author"),
        ({"lang": "English, please"}, Reason.WRONG_TYPE, "lang"),
        ({"lang": "en" + "-x" * 20}, Reason.TOO_LARGE, "lang"),
        ({"tickers": "SHIP"}, Reason.WRONG_TYPE, "tickers"),
        ({"history": "yes"}, Reason.WRONG_TYPE, "history"),
        ({"undated": 0}, Reason.WRONG_TYPE, "undated"),
        ({"tickers": ["SHIP", 3]}, Reason.WRONG_TYPE, "tickers"),
        ({"tickers": [" "]}, Reason.WRONG_TYPE, "tickers"),
        ({"tickers": ["A"] * 65}, Reason.TOO_LARGE, "tickers"),
        ({"tickers": ["A" * 33]}, Reason.TOO_LARGE, "tickers"),
        ({"title": "a\u0000b"}, Reason.CONTROL_CHARACTER, "title holds U+0000 at character 1"),
        ({"text": "bell \b"}, Reason.CONTROL_CHARACTER, "text"),
        ({"text": "page\f"}, Reason.CONTROL_CHARACTER, "text"),
        ({"author": "a\x7f"}, Reason.CONTROL_CHARACTER, "author"),
        ({"text": "it\x92s"}, Reason.CONTROL_CHARACTER, "text holds U+0092"),
        ({"title": "\ud83d"}, Reason.LONE_SURROGATE, "title holds U+D83D"),
        ({"tickers": ["\udc00"]}, Reason.LONE_SURROGATE, "tickers"),
    ],
)
def test_a_bad_field_is_named_with_its_reason(
    changes: dict[str, Any], reason: Reason, field: str
) -> None:
    found = rejected(message(**changes))

    assert reason == found[0]
    assert field in found[1]
    assert found[1].isascii() and len(found[1]) < 250


def test_c1_and_delete_are_seen_unescaped_too() -> None:
    for character in ("\x7f", "\x85", "\x9f"):
        raw = json.dumps({**GOOD, "text": f"a{character}"}, ensure_ascii=False).encode()
        assert rejected(raw)[0] == Reason.CONTROL_CHARACTER


@pytest.mark.parametrize(
    "text",
    ["tab\tline\nreturn\r.", "£5 «ça» © ±", "👩‍🚀 \u2028 and", "\\u0000 is only spelt out", "金融"],
)
def test_ordinary_text_of_any_script_is_kept(text: str) -> None:
    for ascii_only in (True, False):
        raw = json.dumps({**GOOD, "text": text}, ensure_ascii=ascii_only).encode()
        assert text == accepted(raw).text


def test_a_message_of_exactly_the_limit_passes_and_one_more_byte_does_not() -> None:
    value = message(text="x" * 1_000)

    assert isinstance(decode(value, limits=Limits(message_bytes=len(value))), Document)
    assert rejected(value, limits=Limits(message_bytes=len(value) - 1))[0] == Reason.TOO_LARGE


def test_null_and_blank_optional_fields_count_as_absent() -> None:
    for nothing in (None, "", "  "):
        found = accepted(message(id=nothing, url=nothing, author=nothing, lang=nothing))
        assert (None, None, None, ()) == (found.url, found.author, found.lang, found.tickers)
        assert len(found.id) == 32


def test_a_message_says_itself_that_it_is_history_or_undated() -> None:
    plain, marked = accepted(message()), accepted(message(history=True, undated=True))

    assert (False, False) == (plain.history, plain.undated)
    assert (True, True) == (marked.history, marked.undated)
    assert not accepted(message(history=None, undated=False)).history


def test_of_a_repeated_field_the_last_counts() -> None:
    assert accepted(message()[:-1] + b', "title": "second"}').title == "second"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-17T09:00:00Z", datetime(2024, 5, 17, 9, tzinfo=UTC)),
        ("2024-05-17t09:00:00z", datetime(2024, 5, 17, 9, tzinfo=UTC)),
        ("2024-05-17T11:00:00.25+02:00", datetime(2024, 5, 17, 9, 0, 0, 250_000, tzinfo=UTC)),
        ("2024-05-17T09:00:00.123456789Z", datetime(2024, 5, 17, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-05-17T09:00:00-00:00", datetime(2024, 5, 17, 9, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T00:59:60.5+01:00", datetime(2017, 1, 1, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-05-17T12:00:60Z", None),  # a leap second is at 23:59 UTC
        ("2023-02-29T00:00:00Z", None),
        ("2024-04-31T00:00:00Z", None),
        ("2024-05-17T24:00:00Z", None),
        ("2024-05-17T09:60:00Z", None),
        ("2024-05-17T09:00:61Z", None),
        ("2024-13-01T00:00:00Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00+05:00", None),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-31T23:59:60Z", None),
        ("12024-05-17T09:00:00Z", None),
        ("2024-05-17T09:00Z", None),
        ("2024-05-17", None),
        ("20240517T090000Z", None),
        ("2024-05-17T09:00:00+0200", None),
        ("2024-05-17T09:00:00,5Z", None),
        ("2024-05-17T09:00:00 Z", None),
        ("2024-05-17T09:00:00Z\n", None),
        ("2024-05-17T09:00:00+24:00", None),
        ("٢٠٢٤-05-17T09:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_only_rfc_3339_with_a_zone_is_a_time(text: str, moment: datetime | None) -> None:
    assert moment == parse_timestamp(text)


def test_a_document_from_the_future_is_rejected_beyond_the_tolerance() -> None:
    limits = Limits(future=timedelta(minutes=10))

    def at(moment: datetime) -> bytes:
        return message(published_at=moment.isoformat())

    assert isinstance(decode(at(NOW + timedelta(minutes=10)), limits=limits), Document)
    reason, detail = rejected(at(NOW + timedelta(minutes=10, seconds=1)), limits=limits)
    assert reason == Reason.FUTURE
    assert "0:10:01 ahead" in detail


# The schema says the same.

SAME = [
    {},
    {"unknown": {"deep": [1]}},
    {"kind": "comment", "lang": "pt_BR", "tickers": []},
    {"history": True, "undated": False},
    {"history": None, "undated": None},
    {"title": "", "text": "only text"},
    {"id": None, "url": None, "author": None, "lang": None, "tickers": None, "kind": None},
    {"url": " ", "lang": "", "id": ""},
    {"url": "HTTP://example.org/\u00e4"},
    {"published_at": "2016-12-31T23:59:60Z"},
    {"source": 1},
    {"source": ""},
    {"source": "x" * 257},
    {"published_at": "2024-05-17 09:00:00Z"},
    {"published_at": "2024-05-17T09:00:00"},
    {"published_at": "2024-05-17T25:00:00Z"},
    {"published_at": 5},
    {"title": 3},
    {"title": None},
    {"title": "  ", "text": "\n"},
    {"title": "x" * 4_001},
    {"title": "a\u0000"},
    {"text": "a\u009f"},
    {"text": ["a"]},
    {"id": 5},
    {"id": "\u0007"},
    {"kind": "blog"},
    {"kind": 1},
    {"url": "ftp://example.org"},
    {"url": "https://"},
    {"url": "x"},
    {"author": {}},
    {"lang": "e"},
    {"lang": "en--US"},
    {"history": "true"},
    {"undated": 1},
    {"tickers": "A"},
    {"tickers": [""]},
    {"tickers": [None]},
    {"tickers": ["A"] * 65},
    {"drill": "20260504-120000-9f3a"},
    {"drill": None},
    {"drill": ""},
    {"drill": "schedule"},
    {"drill": "scheduled"},
    {"drill": "-"},
    {"drill": "D1"},
    {"drill": "ä"},
    {"drill": "a" * 49},
    {"drill": True},
]


@pytest.mark.parametrize("changes", SAME)
def test_the_schema_and_the_decoder_agree(changes: dict[str, Any]) -> None:
    value = {**GOOD, **changes}
    valid = jsonschema.Draft202012Validator(message_schema()).is_valid(value)

    assert valid == isinstance(decode(json.dumps(value).encode()), Document)


@pytest.mark.parametrize("name", ["source", "published_at", "title"])
def test_the_schema_and_the_decoder_agree_on_what_is_required(name: str) -> None:
    value = {key: GOOD[key] for key in GOOD if key != name}

    assert not jsonschema.Draft202012Validator(message_schema()).is_valid(value)
    assert isinstance(decode(json.dumps(value).encode()), DeadLetter)


def test_the_published_schema_is_the_one_of_the_code() -> None:
    path = Path(__file__).parents[2] / "docs" / "message.schema.json"

    assert message_schema() == json.loads(path.read_text("utf-8"))
    assert (*FIELDS, *FLAGS, "drill") == tuple(message_schema()["properties"])
    jsonschema.Draft202012Validator.check_schema(message_schema())


# Anything at all.


def is_sound(found: Document | DeadLetter) -> bool:
    """What the stages behind the decoder rely on."""
    if isinstance(found, DeadLetter):
        return found.detail.isascii() and bool(found.detail)
    texts = [found.id, found.source, found.title, found.text, found.url or "", found.lang or ""]
    for text in texts:
        text.encode()  # no lone surrogate
        assert "\x00" not in text
    return bool(found.title or found.text) and found.published_at.utcoffset() == timedelta(0)


@given(st.binary(max_size=300))
def test_any_bytes_become_a_document_or_a_dead_letter(value: bytes) -> None:
    assert is_sound(decode(value))


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ODD = st.sampled_from(["\x00", "a\ud800", "\x85", " ", "https://", "en", "2024-05-17T09:00:00Z"])
JSON = PLAIN | ODD | st.lists(PLAIN | ODD, max_size=3)


@given(st.dictionaries(st.sampled_from(FIELDS + FLAGS), JSON))
def test_any_object_becomes_a_document_or_a_dead_letter(fields: dict[str, Any]) -> None:
    assert is_sound(decode(json.dumps({**GOOD, **fields}).encode()))


@given(st.text(alphabet="0123456789-+:TZtz. ", max_size=35))
def test_any_text_is_a_time_in_utc_or_none(text: str) -> None:
    moment = parse_timestamp(text)

    assert moment is None or moment.utcoffset() == timedelta(0)


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001
def test_every_time_since_1970_survives_its_rfc_3339_form(moment: datetime) -> None:
    assert moment == parse_timestamp(moment.isoformat())


PIECES = (
    *(
        "0",
        "-0",
        "01",
        "1e5",
        "1E400",
        "-1.5",
        "NaN",
        "-Infinity",
        "1" * 400,
        "12345678901234567890123",
    ),
    *("true", "nul", "[1,]", "[[[[]]]]", "{}", '{"a":1,"a":2}', '"\\ud800"', '"\\ud83c\\udfe6"'),
    *(
        '"\x01"',
        '"\\u0000"',
        '"\x7f"',
        '"\u0085"',
        '"\\/"',
        '"\\x"',
        '"naïve 金融"',
        '"a\nb"',
        "",
        " ",
    ),
)


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*FIELDS, *FLAGS, "other", "sou\\u0072ce"]), st.text(max_size=3)),
        st.sampled_from(PIECES),
        max_size=4,
    ),
    st.sampled_from(["", " ", "\n", "\ufeff", ",", "}", "\x00"]),
)
def test_short_and_long_messages_are_read_alike(fields: dict[str, str], end: str) -> None:
    """Short ones are parsed by another parser; spaces behind a message make it a long one."""
    good = json.dumps(GOOD)[1:-1]
    odd = "".join(f',"{name}":{value}' for name, value in fields.items() if '"' not in name)
    value = f"{{{good}{odd}}}{end}".encode("utf-8", "surrogatepass")

    short, long = decode(value), decode(value + b" " * 5_000)

    if isinstance(short, Document):
        assert short == long
    else:
        assert isinstance(long, DeadLetter)
        assert short.reason == long.reason


def test_a_batch_is_decoded_as_its_records_one_by_one() -> None:
    values = [message(title="One"), b"{", message(id="b2"), None, message(kind="rumour")]
    records = [Record(Origin("news", 0, n), value, None, NOW) for n, value in enumerate(values)]
    one_by_one = [decoder().decode(r, now=NOW, rejected_at=REJECTED_AT) for r in records]

    documents, letters = decoder().decode_batch(records, now=NOW, rejected_at=REJECTED_AT)

    assert [d for d in one_by_one if isinstance(d, Document)] == documents
    assert [d for d in one_by_one if isinstance(d, DeadLetter)] == letters
    assert (2, 3) == (len(documents), len(letters))
