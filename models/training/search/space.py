"""The space of a search: which hyper-parameters vary, and within what."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from models.errors import ModelError
from models.recipe import Recipe
from models.training.settings import faults_of, read_toml

if TYPE_CHECKING:
    from optuna import Trial

Value = str | bool | int | float

DEFAULT: Final = """\
# One line a hyper-parameter of the recipe: a range { low, high, log or step }, a list of choices,
# or one value for all trials. rank is drawn where the method has ranks, and so on.
method = ["lora", "adapter", "full"]
rank = { low = 8, high = 64, step = 8 }
bottleneck = { low = 16, high = 96, step = 16 }
learning_rate = { low = 5e-5, high = 2e-3, log = true }
head_learning_rate = { low = 1e-4, high = 5e-3, log = true }
layer_decay = { low = 0.8, high = 1.0 }
weight_decay = { low = 1e-3, high = 0.2, log = true }
label_smoothing = { low = 0.0, high = 0.15 }
class_weight_power = { low = 0.0, high = 1.0 }
dropout = { low = 0.0, high = 0.4 }
average_decay = [0.0, 0.99, 0.998]
batch_size = [16, 32, 64]
"""

_WHERE: Final[Mapping[str, tuple[str, frozenset[Value]]]] = {
    "rank": ("method", frozenset({"lora", "adalora"})),
    "alpha": ("method", frozenset({"lora", "adalora"})),
    "lora_dropout": ("method", frozenset({"lora", "adalora"})),
    "bottleneck": ("method", frozenset({"adapter"})),
    "prefix_length": ("method", frozenset({"prefix"})),
    "freeze_embeddings": ("method", frozenset({"full", "bitfit"})),
    "adversarial_epsilon": ("adversarial", frozenset({"fgm", "pgd"})),
    "adversarial_steps": ("adversarial", frozenset({"pgd"})),
}
"""Hyper-parameters that do something under some values of another one alone."""

_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("held_out", "seed", "split_seed"),
        "decides which texts are held out, and trials on different ones cannot be compared;"
        " give one value",
    ),
    "calibration_corpus_share": "moves no label and so no score of a trial; give one value",
    **dict.fromkeys(
        ("distil_share", "distil_corpus_share", "pseudo_share", "distil_temperature"),
        "does nothing without teachers, whom a search does not use; leave it out",
    ),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    name: str
    values: tuple[Value, ...]

    def suggest(self, trial: "Trial") -> Value:
        """Draw a value for the trial."""
        return cast("Value", trial.suggest_categorical(self.name, self.values))

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def place(self, value: Value) -> float:
        """Return where on an axis from 0 to 1 a value lies."""
        return self.values.index(value) / max(1, len(self.values) - 1)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where `whole`."""

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: "Trial") -> Value:
        """Draw a value for the trial."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(self.name, low, high, step=step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def place(self, value: Value) -> float:
        """Return where on an axis from 0 to 1 a value lies, on the scale that it is drawn on."""
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return (scale(float(value)) - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Space:
    """What varies, and the values that are the same for all trials.

    A hyper-parameter that does nothing under the drawn method is not drawn. Where the rank varies
    and alpha is not given, alpha keeps its ratio to the rank.
    """

    dimensions: tuple[Choice | Range, ...]
    fixed: Mapping[str, object] = field(default_factory=dict)

    def suggest(self, trial: "Trial") -> Recipe:
        """Draw the recipe of a trial."""
        drawn: dict[str, object] = {}
        for dimension in self._ordered:
            if self._applies(dimension, drawn):
                drawn[dimension.name] = dimension.suggest(trial)
        return self.recipe(drawn)

    def recipe(self, drawn: Mapping[str, object]) -> Recipe:
        """Return the recipe of drawn values."""
        settings = {**self.fixed, **drawn}
        rank = drawn.get("rank")
        if isinstance(rank, int) and "alpha" not in settings:
            settings["alpha"] = rank * Recipe().alpha / Recipe().rank
        return Recipe.model_validate(settings)

    def baseline(self) -> dict[str, object]:
        """Return the recipe without any search as drawn values; empty where it lies outside."""
        recipe = self.recipe({})
        drawn: dict[str, object] = {}
        for dimension in self._ordered:
            if not self._applies(dimension, drawn):
                continue
            value = getattr(recipe, dimension.name)
            if dimension.name == "head_learning_rate" and value is None:
                value = recipe.learning_rate
            if value not in dimension:
                return {}
            drawn[dimension.name] = value
        return drawn

    @property
    def _ordered(self) -> list[Choice | Range]:
        return sorted(self.dimensions, key=lambda dimension: dimension.name in _WHERE)

    def _applies(self, dimension: Choice | Range, drawn: Mapping[str, object]) -> bool:
        if dimension.name not in _WHERE:
            return True
        other, values = _WHERE[dimension.name]
        return drawn.get(other, getattr(self.recipe({}), other)) in values


def read_space(path: Path | None, fixed: Mapping[str, object]) -> Space:
    """Return the space of a TOML file, or the default one, beside values given for all trials.

    What `fixed` names does not vary under the default space.

    Raises:
        ModelError: the file cannot be read, or a range or value is none that a recipe can take;
            all faults are listed.
    """
    if path is None:
        content: dict[str, object] = tomllib.loads(DEFAULT)
        content = {name: value for name, value in content.items() if name not in fixed}
    else:
        content = read_toml(path)
    values = {name: value for name, value in content.items() if not isinstance(value, list | dict)}
    faults = faults_of({**values, **fixed})
    faults += [
        f"{name}: given in the space and outside it; drop one of the two"
        for name in fixed
        if name in content
    ]
    dimensions: list[Choice | Range] = []
    for name, value in content.items():
        if isinstance(value, list | dict):
            found = _dimension(name, value)
            if isinstance(found, list):
                faults += found
            else:
                dimensions.append(found)
    if not content.keys() - values.keys():
        faults.append("nothing varies: give at least one range or list of choices")
    if faults:
        raise ModelError(
            f"{path or 'search space'}: {len(faults)} fault(s)\n"
            + "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
        )
    recipe = Recipe.model_validate({**values, **fixed})
    return Space(
        tuple(dimensions), {name: getattr(recipe, name) for name in (values.keys() | fixed.keys())}
    )


def _dimension(name: str, value: object) -> Choice | Range | list[str]:
    """Return the dimension, or what is wrong with it."""
    if name in _REFUSED:
        return [f"{name}: {_REFUSED[name]}"]
    if name not in Recipe.model_fields:
        return faults_of({name: value})
    return _choice(name, value) if isinstance(value, list) else _range(name, value)


def _choice(name: str, values: list[object]) -> Choice | list[str]:
    if not values:
        return [f"{name}: an empty list; give the choices"]
    faults = [f for value in values for f in faults_of({name: value})]
    if faults:
        return faults
    found = tuple(getattr(Recipe.model_validate({name: value}), name) for value in values)
    if len(set(found)) < len(found):
        return [f"{name}: the same choice twice; give each once"]
    return Choice(name, found)


def _range(name: str, value: object) -> Range | list[str]:
    table = value if isinstance(value, dict) else {}
    default = getattr(Recipe(), name)
    if isinstance(default, bool | str):
        return [f"{name}: is no number; give a list of choices"]
    faults = [
        f"{name}: a range has low, high, log, step; not {key}"
        for key in table.keys() - {"low", "high", "log", "step"}
    ]
    faults += [f"{name}: the range has no {key}" for key in ("low", "high") if key not in table]
    log, step = table.get("log", False), table.get("step")
    if not isinstance(log, bool):
        faults.append(f"{name}: log is true or false, not {log!r}")
    if step is not None and (isinstance(step, bool | str | list | dict) or not step > 0):
        faults.append(f"{name}: step is a number above 0, not {step!r}")
    if log and step is not None:
        faults.append(f"{name}: log and step together; drop one")
    for key in {"low", "high"} & table.keys():
        faults += [f"{fault} ({key} = {table[key]!r})" for fault in faults_of({name: table[key]})]
    if faults:
        return sorted(faults)
    low, high = (getattr(Recipe.model_validate({name: table[key]}), name) for key in _ENDS)
    whole = isinstance(default, int)
    if not low < high:
        return [f"{name}: low {low} is not below high {high}"]
    if log and not low > 0:
        return [f"{name}: a range on a log scale begins above 0, not at {low}"]
    if whole and step is not None and step != int(step):
        return [f"{name}: takes whole numbers, so step is one, not {step!r}"]
    if step is not None and not _divides(step, high - low):
        return [f"{name}: step {step} does not lead from {low} to {high}"]
    return Range(name, low, high, log=log, step=step, whole=whole)


_ENDS: Final = ("low", "high")


def _divides(step: float, width: float) -> bool:
    return math.isclose(width / step, round(width / step), abs_tol=1e-9) and width >= step
