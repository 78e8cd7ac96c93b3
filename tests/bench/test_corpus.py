"""The texts of the benchmark: their lengths, their mixture, their seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.text import normalise
from monitor.bench.corpus import KINDS, Corpus, Kind, Writer, sample, spread


def measure(texts: Sequence[str]) -> list[int]:
    """Words and two specials; as additive as a tokeniser that splits at white space."""
    return [len(text.split()) + 2 for text in texts]


def written(kind: Kind, count: int, seed: int = 7) -> Corpus:
    return Writer(seed, measure).write(kind, count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_comes_from_its_seed_and_repeats_no_text(kind: Kind) -> None:
    corpus = written(kind, 200)
    assert corpus.texts == written(kind, 200).texts
    assert corpus.texts != written(kind, 200, seed=8).texts
    assert 200 == len(set(corpus.texts))


@pytest.mark.parametrize("kind", KINDS)
def test_its_lengths_are_those_of_its_texts_as_the_model_reads_them(kind: Kind) -> None:
    corpus = written(kind, 100)
    assert measure([normalise(text) for text in corpus.texts]) == corpus.tokens.tolist()


def test_headlines_have_8_to_40_tokens() -> None:
    tokens = written("headlines", 1_000).tokens
    assert 8 <= tokens.min() and tokens.max() <= 40


def test_long_texts_are_uniform_from_100_to_512_tokens() -> None:
    tokens = written("long", 600).tokens
    assert 100 <= tokens.min() and tokens.max() <= 512
    quarters = np.quantile(tokens, [0.25, 0.5, 0.75])
    assert np.abs(quarters - [203, 306, 409]).max() < 25


def test_the_mix_is_four_headlines_to_one_long_text_in_no_order() -> None:
    corpus = written("mix", 1_000)
    long = corpus.tokens >= 100
    assert 200 == long.sum()
    assert 8 <= corpus.tokens[~long].min() and corpus.tokens[~long].max() <= 40
    # Each fifth of the stream has its share.
    assert all(20 <= part.sum() <= 60 for part in np.split(long, 5))


def test_one_writer_repeats_no_text_between_its_corpora() -> None:
    writer = Writer(7, measure)
    first, second = writer.write("mix", 300), writer.write("headlines", 300)
    assert set(first.texts).isdisjoint(second.texts)


@pytest.mark.parametrize("count", [16, 50, 100, 333])
def test_every_sample_of_the_mix_has_the_composition_of_the_whole(count: int) -> None:
    corpus = written("mix", 1_000)
    taken = sample(corpus, count)
    assert count == len(taken.texts)
    assert abs((taken.tokens >= 100).mean() - 0.2) <= 1 / count + 0.01
    assert abs(taken.tokens.mean() / corpus.tokens.mean() - 1) < 0.08


def test_a_smaller_sample_is_part_of_a_larger_one_and_both_keep_the_order_of_arrival() -> None:
    corpus = written("mix", 300)
    small, large = sample(corpus, 40).texts, sample(corpus, 170).texts
    assert set(small) < set(large)
    places = [corpus.texts.index(text) for text in large]
    assert sorted(places) == places


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 999])
def test_spreading_keeps_every_row_exactly_once(count: int) -> None:
    lengths = [(row * 7919) % 101 for row in range(count)]
    assert list(range(count)) == sorted(spread(lengths))
