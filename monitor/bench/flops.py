"""Useful floating-point operations: those of the real tokens' products and attention. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.labels import LABELS
from monitor.bench.contestant import BenchError


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder of BERT's form."""

    hidden: int
    intermediate: int
    layers: int

    @classmethod
    def read(cls, checkpoint: Path) -> Shape:
        """Read `config.json`; DistilBERT has names of its own.

        Raises:
            BenchError: the sizes are not in it.
        """
        config = json.loads((checkpoint / "config.json").read_text("utf-8"))
        names = (
            ("hidden_size", "intermediate_size", "num_hidden_layers"),
            ("dim", "hidden_dim", "n_layers"),
        )
        for keys in names:
            if all(key in config for key in keys):
                return cls(*(int(config[key]) for key in keys))
        raise BenchError(
            f"{checkpoint / 'config.json'}: names no {', '.join(names[0])}; choose an encoder that"
            " does"
        )

    def flops(self, lengths: Sequence[int]) -> float:
        """Return the operations for texts of these lengths in tokens; a multiply-add counts two.

        A layer multiplies each token by four matrices of hidden x hidden and two of hidden x
        intermediate, and compares each token with each of its text, twice (scores and mixture).
        """
        tokens = sum(lengths)
        pairs = sum(length * length for length in lengths)
        dense = 2 * tokens * (4 * self.hidden**2 + 2 * self.hidden * self.intermediate)
        attention = 2 * 2 * pairs * self.hidden
        classes = sum(len(names) for names in LABELS.values())
        return float(self.layers * (dense + attention) + 2 * len(lengths) * self.hidden * classes)
