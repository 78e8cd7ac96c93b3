"""Texts longer than a window are read whole and get one verdict."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from models.manifest import Manifest
from models.packed.load import Packing
from models.packed.rows import Packed
from models.predict import Predictor
from models.windows import Reader, judge, pool

READER = Reader(length=10, overlap=2, limit=4)


def row(tokens: int) -> list[int]:
    """A row of so many numbered tokens between two specials."""
    return [1000, *range(tokens), 1001]


def predictor_of(folder: Path) -> Predictor:
    return Predictor.load(folder, device="cpu", dtype="float32")


@pytest.mark.parametrize("tokens", range(27))
def test_windows_cover_every_token_and_each_has_the_specials(tokens: int) -> None:
    found = READER.cut(row(tokens))

    inner = [window[1:-1] for window in found]
    assert {(1000, 1001)} == {(window[0], window[-1]) for window in found}
    assert max(map(len, found)) <= READER.length
    assert set(range(tokens)) == {token for window in inner for token in window}
    assert all(window == list(range(window[0], window[-1] + 1)) for window in inner if window)
    shared = [len({*a} & {*b}) for a, b in pairwise(inner)]
    assert all(count >= READER.overlap for count in shared)


def test_a_text_that_fits_is_one_window_and_the_next_longer_one_two() -> None:
    assert [1, 2] == [len(READER.cut(row(tokens))) for tokens in (8, 9)]


def test_the_longest_row_takes_all_windows_and_no_more() -> None:
    longest = row(READER.longest - 2)

    assert READER.limit == len(READER.cut(longest))
    assert longest == READER.capped(longest)
    assert [*longest[:-1], 1001] == READER.capped(row(500))
    with pytest.raises(ValueError, match="use encode"):
        READER.cut(row(READER.longest - 1))


def test_a_short_window_keeps_an_overlap_that_leaves_room_for_new_tokens() -> None:
    found = Reader.fitting(8, 32, 16, before=1, after=1)

    assert 2 == found.overlap
    assert list(range(40)) == sorted({t for window in found.cut(row(40)) for t in window[1:-1]})


def test_one_window_keeps_its_logits_under_either_pooling() -> None:
    logits = np.array([[1.0, -2.0, 0.5]])

    assert [1.0, -2.0, 0.5] == pool(logits, np.array([7]), "sentiment", "mean").tolist()
    assert [1.0, -2.0, 0.5] == pool(logits, np.array([7]), "sentiment", "salient").tolist()


def test_the_mean_counts_windows_by_their_tokens() -> None:
    found = pool(np.array([[0.0, 4.0, 0.0], [4.0, 0.0, 0.0]]), np.array([30, 10]), "topic", "mean")

    assert [1.0, 3.0, 0.0] == found.tolist()


def test_a_neutral_window_counts_little_for_the_salient_sentiment() -> None:
    neutral, negative = [0.0, 6.0, 0.0], [6.0, 0.0, 0.0]
    logits, tokens = np.array([neutral, neutral, neutral, negative]), np.array([9, 9, 9, 9])

    assert 1 == pool(logits, tokens, "sentiment", "mean").argmax()
    assert 0 == pool(logits, tokens, "sentiment", "salient").argmax()


def test_a_confident_window_counts_more_for_the_salient_topic() -> None:
    logits, tokens = np.zeros((3, 20)), np.array([9, 9, 9])
    logits[0, 4], logits[1:, 7] = 5.0, 2.6

    assert 7 == pool(logits, tokens, "topic", "mean").argmax()
    assert 4 == pool(logits, tokens, "topic", "salient").argmax()


def test_windows_that_are_all_neutral_have_a_finite_mean() -> None:
    logits = np.array([[0.0, 900.0, 0.0], [0.0, 700.0, 0.0]])

    found = pool(logits, np.array([5, 5]), "sentiment", "salient")

    np.testing.assert_allclose(found, [0.0, 800.0, 0.0])


def test_each_text_gets_the_windows_of_its_own() -> None:
    def forward(rows: list[list[int]]):  # type: ignore[no-untyped-def]
        first = np.array([[r[1], 0.0, 0.0] for r in rows])
        return {"sentiment": first, "topic": np.repeat(first, 20, axis=1)[:, :20]}

    found = judge([row(3), row(20), row(8)], READER, "mean", forward)

    starts = [window[1] for window in READER.cut(row(20))]
    assert [0.0, float(np.mean(starts)), 0.0] == found["sentiment"][:, 0].tolist()


def test_a_text_is_encoded_whole_between_its_specials(trained: tuple[Path, Manifest]) -> None:
    predictor = predictor_of(trained[0])

    short, long, empty = predictor.encode(["gold", "gold " * 200, "https://t.co/x"])

    assert (3, 202, 2) == (len(short), len(long), len(empty))
    assert {(r[0], r[-1]) for r in (short, long, empty)} == {(2, 3)}
    assert 0 == predictor.capped_texts


def test_texts_beyond_the_last_window_are_counted(trained: tuple[Path, Manifest]) -> None:
    predictor = predictor_of(trained[0])

    rows = predictor.encode(["gold " * 2_000, "gold", "oil " * 3_000])

    assert 2 == predictor.capped_texts
    assert [694, 3, 694] == [len(r) for r in rows]
    assert 3 == rows[0][-1]
    assert np.isfinite(predictor.logits(rows)["topic"]).all()


def test_what_stands_after_the_first_window_changes_the_verdict(
    trained: tuple[Path, Manifest],
) -> None:
    predictor = predictor_of(trained[0])
    opening = "gold " * 70
    rows = predictor.encode([opening + "gold " * 70, opening + "profit warning dividend cut " * 17])

    found = predictor.logits(rows)["sentiment"]

    assert np.abs(found[0] - found[1]).max() > 0.1


def test_a_long_text_judged_alone_equals_it_in_company(trained: tuple[Path, Manifest]) -> None:
    predictor = predictor_of(trained[0])
    words = ["gold", "profit", "dividend", "oil rises", "shares fall"]
    rows = predictor.encode([f"{word} " * 40 * (i + 1) for i, word in enumerate(words)])

    together = predictor.logits(rows)

    for index, ids in enumerate(rows):
        for budget in (64, 4_096):
            for task, alone in predictor.logits([ids], budget=budget).items():
                np.testing.assert_allclose(alone[0], together[task][index], atol=1e-4)


@pytest.mark.parametrize("packing", ["auto", "off"])
def test_a_forward_pass_stays_within_its_budget(
    trained: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch, packing: Packing
) -> None:
    predictor = Predictor.load(trained[0], device="cpu", dtype="float32", packing=packing)
    rows = predictor.encode(["gold " * 500, "gold", "gold " * 90])
    sizes: list[int] = []
    where, name = (
        (predictor._forward, "line") if packing == "auto" else (predictor._network, "forward")
    )
    plain = getattr(where, name)

    def recorded(read: Packed | Tensor, *rest: Tensor) -> object:
        sizes.append(len(read.ids) if isinstance(read, Packed) else read.numel())
        return plain(read, *rest)

    monkeypatch.setattr(where, name, recorded)

    predictor.logits(rows, budget=200)

    assert len(sizes) > 1
    assert max(sizes) <= 200
    assert len(predictor.reader.cut(rows[0])) > 3
