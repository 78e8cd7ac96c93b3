"""The shipped weights behind the engine: one verdict a text, however it is batched."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.weights import tokens_told, variant
from numpy.typing import NDArray

from models import manifest as manifests
from models.packed.load import Packing
from models.predict import DEFAULT, PAD_MULTIPLE, Predictor
from monitor.score.base import TokenVerdicts, Verdicts
from monitor.score.engine import BatchScorer
from monitor.score.schedule import Batching
from monitor.score.transformer import TransformerDevice

TOLERANCE = 1e-4
"""Of a logit, in float32."""

_SUBJECTS = (
    "Harlow Bank", "The central bank", "Brantwick Steel", "Vellmar Foods", "The regulator",
    "Tessaro", "Copper", "The airline's largest shareholder", "Morrow & Pyne", "The ministry",
)  # fmt: skip
_NEWS = (
    "cut its dividend for the second time this year", "left the outlook where it was",
    "raised its forecast as demand for pumps held up", "lost a fifth of its value by noon",
    "is under investigation for its accounts", "agreed to buy a rival for 2.4 billion",
    "rose by 3.1 % in thin trading", "will close a plant and move the work abroad",
)  # fmt: skip


def sample(count: int = 60, seed: int = 8) -> list[str]:
    """Written texts of one to ninety sentences: of a dozen tokens to many windows."""
    rng = random.Random(seed)

    def sentence() -> str:
        return f"{rng.choice(_SUBJECTS)} {rng.choice(_NEWS)}."

    sizes = [rng.choice((1, 1, 1, 2, 3, 8)) for _ in range(count - 6)] + [20, 25, 30, 40, 60, 90]
    texts = [" ".join(sentence() for _ in range(size)) for size in sizes]
    rng.shuffle(texts)
    return texts


TEXTS = sample()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights, with a random head over tokens where they have none of their own."""
    if manifests.read(DEFAULT).spans is not None:
        return DEFAULT
    folder = tmp_path_factory.mktemp("model") / "told"
    variant(DEFAULT, folder, tokens_told())
    return folder


def loaded(model: Path, packing: Packing) -> Predictor:
    torch.set_num_threads(1)
    return Predictor.load(model, device="cpu", dtype="float32", threads=1, packing=packing)


@pytest.fixture(scope="module", params=["auto", "off"])
def predictor(request: pytest.FixtureRequest, model: Path) -> Predictor:
    found = loaded(model, request.param)
    assert found.packed == (request.param == "auto"), found.unpacked_because
    return found


@pytest.fixture(scope="module")
def alone(model: Path) -> Verdicts:
    """Each text in a padded forward pass of its own, without the engine."""
    predictor = loaded(model, "off")
    found = [predictor.predict(predictor.encode([text])) for text in TEXTS]
    parts = [([i], [0], f.tokens) for i, f in enumerate(found) if f.tokens is not None]
    return Verdicts(
        np.concatenate([f.sentiment for f in found]),
        np.concatenate([f.topic for f in found]),
        np.zeros(len(TEXTS), np.bool_),
        (),
        predictor.version,
        TokenVerdicts.gathered(len(TEXTS), parts),
    )


def engine(predictor: Predictor, batching: Batching) -> BatchScorer:
    device = TransformerDevice(predictor, batching.tokens)
    return BatchScorer([device], batching, multiple=PAD_MULTIPLE)


def require_same(expected: Verdicts, found: Verdicts, predictor: Predictor) -> None:
    """Labels equal, and the logits as near as the temperatures let the probabilities tell."""
    assert not found.failed.any()
    heads = predictor.manifest.heads
    for task in ("sentiment", "topic"):
        a: NDArray[np.float32] = getattr(expected, task)
        b: NDArray[np.float32] = getattr(found, task)
        assert (a.argmax(1) == b.argmax(1)).all()
        # Differences of log-probabilities are those of the logits over the temperature.
        logits = [
            heads[task].temperature * (np.log(p) - np.log(p).mean(1, keepdims=True))
            for p in (a.astype(np.float64), b.astype(np.float64))
        ]
        assert np.abs(logits[0] - logits[1]).max() < TOLERANCE
    ours, theirs = expected.tokens, found.tokens
    assert ours is not None and theirs is not None
    for name in ("offsets", "starts", "ends", "tags"):
        assert getattr(ours, name).tolist() == getattr(theirs, name).tolist(), name
    assert np.abs(ours.sentiment - theirs.sentiment).max() < TOLERANCE
    assert np.abs(ours.scores - theirs.scores).max() < TOLERANCE
    assert any(ours.spans(i) for i in range(len(ours)))


@pytest.mark.parametrize(("tokens", "look_ahead"), [(16, 1), (1024, 8), (4096, 512)])
def test_a_text_has_one_verdict_whatever_the_budget_and_the_look_ahead(
    predictor: Predictor, alone: Verdicts, tokens: int, look_ahead: int
) -> None:
    with closing(engine(predictor, Batching(tokens, look_ahead, 0.005, 256))) as scorer:
        require_same(alone, scorer.score(TEXTS), predictor)


def test_a_text_has_one_verdict_in_whatever_company_it_comes(
    predictor: Predictor, alone: Verdicts
) -> None:
    order = list(range(len(TEXTS)))
    random.Random(1).shuffle(order)
    parts = [order[i : i + 7] for i in range(0, len(order), 7)]
    found = Verdicts(
        np.empty_like(alone.sentiment),
        np.empty_like(alone.topic),
        np.zeros(len(TEXTS), np.bool_),
        (),
        predictor.version,
    )
    parts_of_tokens: list[tuple[list[int], range, TokenVerdicts]] = []
    with closing(engine(predictor, Batching.suited("cpu", predictor.packed))) as scorer:
        tickets = [scorer.submit([TEXTS[i] for i in part]) for part in parts]
        for part, ticket in zip(parts, tickets, strict=True):
            assert ticket is not None
            verdicts = ticket.result(60)
            found.sentiment[part] = verdicts.sentiment
            found.topic[part] = verdicts.topic
            assert verdicts.tokens is not None
            parts_of_tokens.append((part, range(len(part)), verdicts.tokens))
    tokens = TokenVerdicts.gathered(len(TEXTS), parts_of_tokens)
    require_same(alone, replace(found, tokens=tokens), predictor)


ODD = [
    "",
    " \n\t ",
    "🚀🚀🔥😱",
    "\x00\x00\x00",
    "𒀀𒁀𒂀 𐤀𐤁𐤂",
    "Profit fell again. " * (10_000_000 // 19),
]


@pytest.fixture(scope="module")
def odd_among_others(predictor: Predictor) -> Iterator[Verdicts]:
    with closing(engine(predictor, Batching.suited("cpu", predictor.packed))) as scorer:
        yield scorer.score([*TEXTS[:20], *ODD, *TEXTS[20:]])


def test_odd_texts_have_a_verdict_with_its_confidence(odd_among_others: Verdicts) -> None:
    found = odd_among_others
    assert not found.failed.any()
    for rows in (found.sentiment[20:26], found.topic[20:26]):
        assert rows.sum(1) == pytest.approx(np.ones(len(ODD)), abs=1e-5)
        assert (rows.max(1) > 1 / rows.shape[1]).all()


def test_odd_texts_change_nothing_for_the_others(
    predictor: Predictor, alone: Verdicts, odd_among_others: Verdicts
) -> None:
    others = [*range(20), *range(26, len(TEXTS) + 6)]
    found, tokens = odd_among_others, odd_among_others.tokens
    assert tokens is not None
    rest = Verdicts(
        found.sentiment[others],
        found.topic[others],
        found.failed[others],
        (),
        predictor.version,
        TokenVerdicts.gathered(len(others), [(range(len(others)), others, tokens)]),
    )
    require_same(alone, rest, predictor)
