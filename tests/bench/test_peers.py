"""Each contestant that is installed gives the labels of the model, on texts of every length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.backbone import OWN, Backbone, encode, load_tokenizer
from models.network import pad
from models.packed.linears import prepacking_works
from models.predict import Predictor
from monitor.bench import checkpoint
from monitor.bench.contestant import Labels, Setting
from monitor.bench.corpus import Writer, sample
from monitor.bench.flops import Shape
from monitor.bench.parts import take_apart
from monitor.bench.peak import Peak
from monitor.bench.peers.classifier import classifier
from monitor.bench.roster import Entry, entries, installed
from monitor.bench.rounds import Plan

ON_CPU = [entry for entry in entries() if "cpu" in entry.devices and entry.precision != "bf16"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("checkpoint")
    return Setting(folder, "cpu", 1, checkpoint.write(folder))


@pytest.fixture(scope="module")
def texts(setting: Setting) -> tuple[str, ...]:
    tokenizer = load_tokenizer(Backbone(OWN, setting.checkpoint, ""))
    writer = Writer(7, lambda several: [len(row) for row in encode(tokenizer, several)])
    return sample(writer.write("mix", 100), 12).texts


@pytest.fixture(scope="module")
def truth(setting: Setting, texts: tuple[str, ...]) -> Labels:
    predictor = Predictor.load(setting.checkpoint, device="cpu", dtype="float32")
    found = predictor.predict(predictor.encode(texts))
    return np.stack((found.sentiment.argmax(1), found.topic.argmax(1)), axis=1)


@pytest.mark.parametrize("entry", ON_CPU, ids=lambda e: f"{e.name} {e.precision}")
def test_a_contestant_gives_the_labels_of_the_model(
    entry: Entry, setting: Setting, texts: tuple[str, ...], truth: Labels
) -> None:
    if missing := entry.missing(installed):
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'monitor[bench]'")
    contestant = entry.build(setting)
    contestant.prepare()
    try:
        assert (entry.name, entry.precision) == (contestant.name, contestant.precision)
        assert truth.tolist() == contestant.label(texts).tolist()
        # Another order is another padding; the labels must not move.
        assert truth[::-1].tolist() == contestant.label(texts[::-1]).tolist()
    finally:
        contestant.close()


def test_the_texts_of_the_test_are_of_more_than_one_label(truth: Labels) -> None:
    assert len(set(truth[:, 0])) > 1 and len(set(truth[:, 1])) > 1


def test_the_checkpoint_judges_short_texts_as_the_model_that_it_was_written_from(
    setting: Setting,
) -> None:
    short = ["Shares fell 4 % after the profit warning.", "The bank kept its dividend."]
    shipped = Predictor.load(device="cpu", dtype="float32")
    merged = Predictor.load(setting.checkpoint, device="cpu", dtype="float32")
    ids = shipped.encode(short)
    assert ids == merged.encode(short)
    for task, logits in shipped.logits(ids).items():
        assert np.abs(logits - merged.logits(ids)[task]).max() < 1e-5


def test_the_classifier_of_the_peers_gives_the_logits_of_the_network(
    setting: Setting, texts: tuple[str, ...]
) -> None:
    predictor = Predictor.load(setting.checkpoint, device="cpu", dtype="float32")
    ids = predictor.encode(texts)
    expected = np.concatenate(list(predictor.logits(ids).values()), axis=1)
    with torch.inference_mode():
        tokens, mask = pad(ids, 0)
        found = classifier(setting.checkpoint)(input_ids=tokens, attention_mask=mask)
    assert np.abs(found.logits.numpy() - expected).max() < 1e-4


def test_a_base_size_with_random_weights_loads_and_costs_what_berts_do(tmp_path: Path) -> None:
    length = checkpoint.write_random_base(tmp_path)
    assert 512 == length
    assert Shape(768, 3072, 12) == Shape.read(tmp_path)
    predictor = Predictor.load(tmp_path, device="cpu", dtype="float32")
    found = predictor.predict(predictor.encode(["One.", "Another text, and a longer one."]))
    assert np.isfinite(found.topic).all()
    assert not np.allclose(found.topic[0], found.topic[1], atol=1e-6)


def test_the_peak_is_the_fastest_kernel_and_never_falls() -> None:
    peak = Peak("cpu", ("fp32",))
    peak.measure()
    first = peak.of("fp32")
    assert first == max(peak.kernels["fp32"].values()) > 1e9
    peak.measure()
    assert peak.of("fp32") >= first
    assert 0 == peak.of("bf16")


def test_the_peak_is_sought_among_onednns_products_too_where_torch_has_them() -> None:
    peak = Peak("cpu", ("fp32",))
    peak.measure()

    seen = {name.rpartition(" ")[0] for name in peak.kernels["fp32"]}
    assert {"F.linear", *["oneDNN prepacked"] * prepacking_works(torch.float32)} == seen


def test_the_scorer_is_taken_apart_into_tokeniser_device_and_both(
    setting: Setting, texts: tuple[str, ...]
) -> None:
    from monitor.bench.ours import ours

    tokenizer = load_tokenizer(Backbone(OWN, setting.checkpoint, ""))
    writer = Writer(7, lambda several: [len(row) for row in encode(tokenizer, several)])
    corpus = writer.write("headlines", 64)
    scorer = ours(setting, "fp32")
    scorer.prepare()
    plan = Plan(rounds=2, seconds=0.1, check=8, least_tokens=64)
    parts = take_apart(scorer, corpus, plan, flops=Shape.read(setting.checkpoint).flops, peak=1e12)
    scorer.close()
    assert ["tokeniser only", "device only", "end to end"] == [part.part for part in parts]
    assert all(2 == len(part.rates) for part in parts)
    assert parts[0].roof is None
    chosen = sample(corpus, parts[1].texts).tokens
    flops_of_a_token = Shape(384, 1536, 6).flops(chosen.tolist()) / chosen.sum()
    tokens_per_second = parts[1].texts_per_second * corpus.tokens.mean()
    assert pytest.approx(tokens_per_second * flops_of_a_token / 1e12) == parts[1].roof
