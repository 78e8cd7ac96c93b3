"""Hyper-parameters in TOML files: a recipe for `train`, fixed values and ranges for `search`."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import ModelError
from models.recipe import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)


def read_toml(path: Path) -> dict[str, object]:
    """Return the content of a TOML file.

    Raises:
        ModelError: it cannot be read, or is no TOML; names the line.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as UTF-8 ({error}); check the file") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path}: not valid TOML ({error}); mend the line") from error


def recipe_of(settings: Mapping[str, object]) -> Recipe:
    """Return the recipe with these hyper-parameters in place of the defaults; see `checked`."""
    return checked(settings, Recipe)


def checked(settings: Mapping[str, object], kind: type[AnyRecipe]) -> AnyRecipe:
    """Return a recipe of this kind with these hyper-parameters in place of the defaults.

    Raises:
        ModelError: an unknown name, or a value that it cannot take.
    """
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"hyper-parameter {first['loc'][0]}" if first["loc"] else "hyper-parameters"
        if first["type"] != "extra_forbidden":
            raise ModelError(f"{where}: {first['msg']} (found {first['input']!r:.80})") from error
        known = ", ".join(kind.model_fields)
        raise ModelError(f"{where}: no such name; there are: {known}") from error


def read_recipe(path: Path) -> dict[str, object]:
    """Return the hyper-parameters of a recipe file; what it does not name keeps its default.

    Raises:
        ModelError: it cannot be read, or holds a name or value that no recipe has; all are named.
    """
    found = read_toml(path)
    faults = faults_of(found)
    if faults:
        raise ModelError(f"{path}: " + "; ".join(faults))
    return found


def faults_of(settings: dict[str, object]) -> list[str]:
    """Return what is wrong with hyper-parameters, one line for each that is."""
    try:
        Recipe.model_validate(settings)
    except ValidationError as error:
        known = ", ".join(Recipe.model_fields)
        found = error.errors()
        unknown = any(fault["type"] == "extra_forbidden" for fault in found)
        return [f"{fault['loc'][0]}: {fault['msg']}" for fault in found] + (
            [f"there are: {known}"] if unknown else []
        )
    return []


def as_toml(recipe: Recipe, heading: str) -> str:
    """Return the whole recipe as TOML that `read_recipe` reads back, below a comment."""
    # JSON writes texts, numbers and truth values as TOML does; None has no form and is left out.
    lines = [
        f"{name} = {json.dumps(value)}"
        for name, value in recipe.model_dump(mode="json", exclude_none=True).items()
    ]
    return "\n".join([*(f"# {line}" for line in heading.splitlines()), *lines]) + "\n"
