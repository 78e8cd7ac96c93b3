"""The sample stream: same bytes from a seed, every flaw, two crises, and varied language."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from monitor.demo.corpus.cast import authors, companies, company, sources
from monitor.demo.corpus.facts import draw_facts
from monitor.demo.corpus.grammar import (
    STORY_FILES,
    TONES,
    Choice,
    Entry,
    Node,
    Slot,
    events,
    expand,
    lexicon,
    parse,
)
from monitor.demo.corpus.newsroom import SCRIPTS
from monitor.demo.names import alias_file
from monitor.demo.stream import FLAWS, MALFORMED, SampleMessage, crises, sample_stream
from monitor.entity.gazetteer import load
from monitor.entity.link import Linker
from monitor.events import DeadLetter, Document, Kind, Origin, Reason, Record
from monitor.source.contract import Limits
from monitor.source.decode import Decoder

START = datetime(2026, 3, 2, tzinfo=UTC)
CORPUS = (*STORY_FILES, "chatter.txt", *(script.corpus for script in SCRIPTS))
# Sixty words that any list of bad words for finance would hold.
_WORDS = (
    "abandon bad bankrupt bearish breach broken burn collapse concern crash crisis cut "
    "cuts decline default delay disappoint downgrade drop dropped fail failed fall "
    "falling fear fears fell fine fined fraud halt hurt injured investigation junk "
    "lawsuit layoffs lose loss losses low lower miss missed negative panic plunge poor "
    "probe problem recall risk risks sank scandal slump terrible threat trouble warn "
    "warning warns weak worst "
)
NEGATIVE_WORDS = frozenset(_WORDS.split())


@cache
def stream() -> tuple[SampleMessage, ...]:
    return tuple(sample_stream(START))


def documents(messages: Iterable[SampleMessage]) -> list[tuple[SampleMessage, dict[str, Any]]]:
    return [(m, json.loads(m.value)) for m in messages if m.tone is not None]


def negative_share(messages: Iterable[SampleMessage]) -> float:
    tones = [m.tone for m in messages if m.tone is not None]
    return tones.count("negative") / len(tones)


def in_crisis(message: SampleMessage) -> bool:
    return any(crisis.begin <= message.at < crisis.end for crisis in crises(START))


def decoded(message: SampleMessage) -> Document | DeadLetter:
    decoder = Decoder(Limits(), {"news": Kind.NEWS, "comments": Kind.COMMENT}, str.upper)
    record = Record(
        origin=Origin(message.topic, 0, 0),
        key=message.key,
        value=message.value,
        appended_at=message.at,
    )
    return decoder.decode(record, now=message.at, rejected_at=message.at)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    assert list(stream()) == list(sample_stream(START))
    other = {m.value for m in sample_stream(START, seed=8)}
    assert len(other & {m.value for m in stream()}) <= 4  # empty values and error pages


def test_three_days_hold_three_thousand_messages_three_fifths_of_them_comments() -> None:
    topics = Counter(m.topic for m in stream())
    assert topics.total() == 3000
    assert {"news", "comments"} == set(topics)
    assert 0.56 < topics["comments"] / 3000 < 0.64


def test_moments_never_go_back_and_the_next_stream_can_follow() -> None:
    assert all(before.at <= after.at for before, after in pairwise(stream()))
    assert stream()[0].at >= START
    assert stream()[-1].at < START + timedelta(days=3)


@pytest.mark.parametrize("seed", range(1, 8))
def test_every_flaw_occurs_whatever_the_seed(seed: int) -> None:
    flaws = Counter(m.flaw for m in sample_stream(START, seed=seed))
    assert {None, *FLAWS} == set(flaws)
    assert flaws["too_large"] == 2
    assert sum(flaws[way] for way in MALFORMED) == 60


def test_only_malformed_messages_have_no_tone() -> None:
    assert {m.flaw for m in stream() if m.tone is None} == set(MALFORMED)
    assert {m.tone for m in stream() if m.tone} == set(TONES)


def test_valid_messages_become_documents_with_what_was_written() -> None:
    for message, fields in documents(stream()):
        document = decoded(message)
        if message.flaw == "future":
            assert isinstance(document, DeadLetter)
            assert document.reason == Reason.FUTURE
            continue
        assert isinstance(document, Document), document
        assert document.text == fields["text"].strip()
        assert document.kind == (Kind.NEWS if message.topic == "news" else Kind.COMMENT)
        assert bool(document.title) == (message.topic == "news")
        assert fields["url"].split("/")[2].endswith(".example")


def test_each_way_of_damage_is_rejected_for_its_own_reason() -> None:
    found = {way: set[Reason]() for way in MALFORMED}
    for seed in (7, 8):
        for message in sample_stream(START, seed=seed):
            if message.flaw in found:
                rejected = decoded(message)
                assert isinstance(rejected, DeadLetter), message.flaw
                found[message.flaw].add(rejected.reason)
    assert found == {
        "not_json": {Reason.NOT_JSON},
        "truncated_json": {Reason.NOT_JSON},
        "not_an_object": {Reason.NOT_AN_OBJECT},
        "missing_text": {Reason.NO_TEXT},
        "wrong_type": {Reason.WRONG_TYPE},
        "missing_date": {Reason.MISSING_FIELD},
        "naive_date": {Reason.BAD_DATE},
        "wrong_date": {Reason.BAD_DATE},
        "nul": {Reason.CONTROL_CHARACTER},
        "control_character": {Reason.CONTROL_CHARACTER},
        "lone_surrogate": {Reason.LONE_SURROGATE},
        "not_utf8": {Reason.NOT_UTF8},
        "empty": {Reason.EMPTY},
        "too_large": {Reason.TOO_LARGE},
    }


def test_delays_are_what_the_flaw_says() -> None:
    for message, fields in documents(stream()):
        delay = (message.at - datetime.fromisoformat(fields["published_at"])).total_seconds()
        if message.flaw == "late":
            assert 20 * 60 <= delay <= 5 * 3600 + 1
        elif message.flaw == "out_of_order":
            assert 20 <= delay < 241
        elif message.flaw == "future":
            assert -36 * 3600 <= delay <= -20 * 60 + 1
        else:
            assert 0 <= delay <= 21


def test_times_are_written_in_several_ways_and_always_with_a_zone() -> None:
    stamps = [fields["published_at"] for _, fields in documents(stream())]
    endings = Counter("Z" if stamp.endswith("Z") else stamp[-6:] for stamp in stamps)
    assert {"Z", "+00:00", "+02:00", "-05:00"} <= set(endings)
    assert endings["Z"] > 0.4 * len(stamps)


def test_ids_are_unique_and_sometimes_absent() -> None:
    ids = [fields.get("id") for _, fields in documents(stream())]
    present = [number for number in ids if number is not None]
    assert len(set(present)) == len(present)
    assert 0.02 < 1 - len(present) / len(ids) < 0.1
    past = [m for m, _ in documents(stream()) if m.flaw != "future"]
    taken = {d.id for d in map(decoded, past) if isinstance(d, Document)}
    assert len(past) == len(taken)


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_crises_turn_the_mood_and_raise_the_volume(seed: int) -> None:
    messages = list(sample_stream(START, seed=seed))
    quiet = [m for m in messages if not in_crisis(m)]
    assert 0.20 < negative_share(quiet) < 0.34
    for crisis in crises(START):
        during = [m for m in messages if crisis.begin <= m.at < crisis.end]
        assert 0.73 < negative_share(during) < 0.87
        ordinary_hours = [m for m in quiet if 8 <= m.at.hour < 18]
        per_hour = len(during) / ((crisis.end - crisis.begin) / timedelta(hours=1))
        assert 4 < per_hour / (len(ordinary_hours) / (3 * 10 - 8)) < 6.5


def test_nights_are_quiet() -> None:
    hours = Counter(m.at.hour for m in stream() if not in_crisis(m))
    assert sum(hours[h] for h in range(5)) < 0.2 * sum(hours[h] for h in range(13, 18))


def test_the_world_goes_on_during_a_crisis() -> None:
    for crisis in crises(START):
        others = [
            fields
            for m, fields in documents(stream())
            if crisis.begin <= m.at < crisis.end and m.tone == "positive"
        ]
        assert len(others) >= 20


def test_many_sources_authors_and_companies_take_part() -> None:
    shown = [fields for _, fields in documents(stream())]
    assert len({fields["source"] for fields in shown}) == len(sources()) >= 30
    assert len({f["author"] for f in shown if "title" not in f}) > 0.9 * len(authors()) > 250
    assert len({ticker for f in shown for ticker in f["tickers"]}) > 0.9 * len(companies())


def test_a_company_of_the_stream_is_one_key_however_it_is_written(tmp_path: Path) -> None:
    aliases = tmp_path / "aliases.toml"
    aliases.write_text(alias_file(), "utf-8")
    linker = Linker(load(aliases=aliases))
    for each in companies():
        key = f"company:US:{each.ticker}"
        for name in (each.name, each.full_name, f"${each.ticker}"):
            text = f"Customers of {name} waited in the rain."
            assert [key] == [link.key for link in linker.link(text, (), (), START)], text
    quoted = "Halden Ratings cut Carrowby Bank to junk, said Calloway & Pugh."
    assert ["company:US:CRWB"] == [link.key for link in linker.link(quoted, (), (), START)]


def test_copies_resemble_their_original_without_being_equal() -> None:
    originals = [f["text"] for m, f in documents(stream()) if m.flaw != "copy"]
    copies = [f["text"] for m, f in documents(stream()) if m.flaw == "copy"]
    assert 0.08 < len(copies) / 3000 < 0.14
    shingles = [set(zip(w, w[1:], w[2:], strict=False)) for w in map(str.split, originals)]
    resembling = 0
    for text in Random(3).sample(copies, 60):
        words = text.split()
        own = set(zip(words, words[1:], words[2:], strict=False))
        resembling += max(len(own & other) for other in shingles) > 0.5 * len(own)
    assert resembling >= 54  # the original of a few arrived broken, or the copy is mostly opening
    assert len(set(copies) - set(originals)) > 0.6 * len(copies)


def test_the_language_is_varied() -> None:
    originals = [f for m, f in documents(stream()) if m.flaw != "copy"]
    grams: Counter[tuple[str, ...]] = Counter()
    for fields in originals:
        words = fields["text"].lower().split()
        grams.update(zip(words, words[1:], words[2:], words[3:], strict=False))
    assert len(grams) / grams.total() > 0.5
    # No stretch of four words, names of the crises' companies apart, in 2 % of the documents.
    assert grams.most_common(2)[1][1] < 0.02 * len(originals)
    texts = Counter(f["text"].lower() for f in originals)
    assert sum(count - 1 for count in texts.values()) < 0.05 * len(originals)


def test_a_list_of_bad_words_misses_much_of_the_tone() -> None:
    """Reading gets all; a keyword gets neither most bad news nor mostly bad news."""
    hits = misses = false_alarms = 0
    for message, fields in documents(stream()):
        words = {
            w.strip(".,:;!?'\"()")
            for w in f"{fields.get('title', '')} {fields['text']}".lower().split()
        }
        flagged = bool(words & NEGATIVE_WORDS)
        if in_crisis(message):
            continue
        hits += flagged and message.tone == "negative"
        misses += not flagged and message.tone == "negative"
        false_alarms += flagged and message.tone != "negative"
    recall, precision = hits / (hits + misses), hits / (hits + false_alarms)
    assert recall < 0.6
    assert precision < 0.6


def test_every_frame_can_be_written() -> None:
    """A slot or nonterminal that does not exist would surface only when its frame comes up."""
    facts = draw_facts(company("NGFD"), START, Random(1))

    def check(nodes: tuple[Node, ...]) -> None:
        for node in nodes:
            if isinstance(node, Slot):
                assert facts(node.name, 1), node.name
            elif isinstance(node, Entry):
                assert lexicon()[node.name]
            elif isinstance(node, Choice):
                for option in node.options:
                    check(option)

    parts = [p for file in CORPUS for event in events(file) for p in event.frames.values()]
    assert all(len(set(part)) == len(part) for part in parts)
    frames = {frame for part in parts for frame in part}
    spoken = [f for name, found in lexicon().items() if name != "rtopen" for f in found]
    for frame in (*frames, *spoken):
        check(parse(frame))
    assert len(frames) > 2000


def test_a_bracket_left_open_is_named() -> None:
    with pytest.raises(ValueError, match="unclosed bracket in frame 'shares \\[rose'"):
        parse("shares [rose")


def test_a_sentence_takes_the_article_that_fits() -> None:
    facts = draw_facts(company("NGFD"), START, Random(1))
    assert expand("a offer, a bid", facts, Random(0)) == "an offer, a bid"


def test_a_start_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        list(sample_stream(START.replace(tzinfo=None)))


def test_streams_without_a_day_are_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        list(sample_stream(START, days=0))
