"""Encoders of other architectures: padding, positions, and clear errors for what is no encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from models import bottlenecks
from models.backbone import find, load_encoder, load_tokenizer
from models.bert import Bert
from models.dataset.read import texts_of
from models.errors import ModelError
from models.predict import Predictor
from models.recipe import Recipe
from models.training.methods import build
from models.training.session import run_training
from models.training.sources import Files

WIDTH: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE: dict[str, Any] = {**WIDTH, "intermediate_size": 32}
BUCKETS: dict[str, Any] = {"position_buckets": 16}
PADDED: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
BUILD: dict[str, Callable[[int], transformers.PreTrainedModel]] = {
    "bert": lambda n: transformers.BertModel(
        transformers.BertConfig(vocab_size=n, max_position_embeddings=64, **SHAPE)
    ),
    "roberta": lambda n: transformers.RobertaModel(
        transformers.RobertaConfig(vocab_size=n, max_position_embeddings=66, **SHAPE, **PADDED)
    ),
    "distilbert": lambda n: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=n, max_position_embeddings=64, dim=16, n_layers=2, n_heads=2, hidden_dim=32
        )
    ),
    "electra": lambda n: transformers.ElectraModel(
        transformers.ElectraConfig(
            vocab_size=n, max_position_embeddings=64, embedding_size=8, **SHAPE
        )
    ),
    "deberta-v2": lambda n: transformers.DebertaV2Model(
        transformers.DebertaV2Config(
            vocab_size=n,
            max_position_embeddings=64,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            **SHAPE,
            **BUCKETS,
        )
    ),
    "mpnet": lambda n: transformers.MPNetModel(
        transformers.MPNetConfig(vocab_size=n, max_position_embeddings=66, **SHAPE, **PADDED)
    ),
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Callable[[str], Path]:
    """Write a random encoder of an architecture; its padding has the id 1 where that is usual."""
    texts = [text for path in files.training.values() for text in texts_of(path)]
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
            if kind in {"roberta", "mpnet"}:
                specials = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]
            tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=specials)
            tokenizer.train_from_iterator(texts, trainer)
            ends = [(name, specials.index(name)) for name in ("[SEP]", "[CLS]")]
            tokenizer.post_processor = processors.BertProcessing(*ends)
            tokenizer.save(str(made[kind] / "tokenizer.json"))
            torch.manual_seed(0)
            BUILD[kind](tokenizer.get_vocab_size()).save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_encoder_is_trained_published_and_judges_texts_alone_as_in_company(
    folder_of: Callable[[str], Path], files: Files, tmp_path: Path, kind: str, method: str
) -> None:
    settings: dict[str, object] = {
        "method": method,
        "rank": 2,
        "epochs": 1,
        "batch_size": 40,
        "precision": "float32",
    }

    manifest = run_training(
        files, settings, out=tmp_path, backbone=str(folder_of(kind)), max_length=512, device="cpu"
    )

    assert 64 == manifest.max_length
    predictor = Predictor.load(tmp_path, device="cpu", dtype="float32")
    texts = ["gold", "profit rises and the dividend grows", "shares fall " * 25, "oil " * 300]
    rows = predictor.encode(texts)
    assert max(map(len, rows)) > 300
    together = predictor.logits(rows)
    for index, row in enumerate(rows):
        for task, alone in predictor.logits([row]).items():
            np.testing.assert_allclose(alone[0], together[task][index], atol=1e-4)


@pytest.mark.parametrize("kind", BUILD)
def test_only_bert_itself_is_run_without_transformers(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    from models.backbone import load_inference_encoder

    assert (kind == "bert") == isinstance(load_inference_encoder(find(str(folder_of(kind)))), Bert)


@pytest.mark.parametrize("kind", BUILD)
def test_a_row_is_cut_to_the_positions_that_the_encoder_has(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    backbone = find(str(folder_of(kind)))

    row = load_tokenizer(backbone, 512).encode("oil " * 500).ids

    assert (64, 64) == (backbone.positions, len(row))
    ids = torch.tensor([row])
    states = load_encoder(backbone)(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert (1, 64, 16) == tuple(states.last_hidden_state.shape)


@pytest.mark.parametrize("kind", BUILD)
def test_adapters_stand_after_both_parts_of_every_layer(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    encoder = load_encoder(find(str(folder_of(kind))))

    assert 2 * 2 == len(bottlenecks.sites(encoder))


@pytest.mark.parametrize("kind", BUILD)
def test_a_prefix_changes_the_states_or_is_refused(
    folder_of: Callable[[str], Path], kind: str
) -> None:
    encoder = load_encoder(find(str(folder_of(kind))))  # in evaluation mode
    ids = torch.tensor([[4, 9, 12, 7], [4, 8, 7, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    before = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    recipe = Recipe(method="prefix", prefix_length=3)
    if kind in {"deberta-v2", "mpnet"}:
        with pytest.raises(ModelError, match="brings its own attention"):
            build(encoder, recipe)
        return

    network = build(encoder, recipe).eval()

    with torch.no_grad():
        for parameter in network.encoder.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=3.0)
    after = network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    alone = network.encoder(input_ids=ids[1:, :3], attention_mask=mask[1:, :3]).last_hidden_state
    assert (after - before).abs().max() > 0.05
    torch.testing.assert_close(alone[0], after[1, :3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50), "gpt2"),
        (transformers.T5Config(d_model=16, num_layers=1, vocab_size=50), "t5"),
        (transformers.BertConfig(**SHAPE, vocab_size=50, is_decoder=True), "bert"),
    ],
)
def test_a_decoder_is_refused(
    tmp_path: Path, config: transformers.PreTrainedConfig, word: str
) -> None:
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(ModelError, match=rf"{word} is a decoder.*take an encoder"):
        load_encoder(find(str(tmp_path)))


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ((), "config.json is missing; an encoder needs config.json, model.safetensors"),
        (("config.json", "pytorch_model.bin"), r"pickled code.*save_pretrained"),
        (("config.json", "model-00001-of-00002.safetensors"), "in several parts"),
        (("config.json", "model.safetensors", "vocab.txt"), r"AutoTokenizer.*save_pretrained"),
    ],
)
def test_a_folder_that_lacks_a_file_says_how_to_mend_it(
    tmp_path: Path, present: tuple[str, ...], message: str
) -> None:
    for name in present:
        (tmp_path / name).write_text("{}")

    with pytest.raises(ModelError, match=message):
        find(str(tmp_path))


@pytest.mark.parametrize("content", ["", "[]", '{"model_type": "no-such-model"}'])
def test_a_config_that_is_none_is_one_error(
    folder_of: Callable[[str], Path], tmp_path: Path, content: str
) -> None:
    for file in folder_of("bert").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(content)

    with pytest.raises(ModelError, match=str(tmp_path)):
        load_encoder(find(str(tmp_path)))
