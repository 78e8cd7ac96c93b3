"""What a search found: the trials and the best of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from models.recipe import Recipe
from models.training.search.space import Space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FORMAT: Final = 1

# Names of what a trial keeps beside its drawn values.
SCORES: Final = "macro_f1"
REASON: Final = "reason"
RETRY_OF: Final = "retry_of"

State = Literal["complete", "pruned", "failed", "running", "waiting"]
_STATES: Final[Mapping[str, State]] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One trial and how it ended."""

    number: int
    state: State
    score: float | None
    """Held-out macro-F1, the mean of the tasks; of a pruned trial the best until then."""
    macro_f1: Mapping[str, float]
    values: Mapping[str, Any]
    """The drawn hyper-parameters."""
    evaluations: int
    seconds: float
    reason: str = ""
    """Why it was pruned or failed."""
    retry_of: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All trials of a search so far."""

    trials: tuple[Outcome, ...]
    space: Space
    importances: Mapping[str, float] = field(default_factory=dict)
    """Shares of the variance of the score, of what every complete trial drew; they sum to 1."""
    interrupted: bool = False

    @property
    def best(self) -> Outcome | None:
        """Return the complete trial with the highest score, the earliest of equal ones."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return max(complete, key=lambda trial: trial.score or 0.0, default=None)

    @property
    def recipe(self) -> Recipe | None:
        """Return the recipe of the best trial."""
        return None if self.best is None else self.space.recipe(self.best.values)


def outcome_of(trial: "FrozenTrial") -> Outcome:
    """Return what is told of a trial."""
    # A trial that ended by an error or diverged at once has no value.
    ended = trial.state.is_finished() and trial.values is not None
    return Outcome(
        number=trial.number,
        state=_STATES[trial.state.name],
        score=trial.value if ended else None,
        macro_f1=trial.user_attrs.get(SCORES, {}),
        values=trial.params,
        evaluations=len(trial.intermediate_values),
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        reason=trial.user_attrs.get(REASON, ""),
        retry_of=trial.user_attrs.get(RETRY_OF),
    )


def as_json(found: Found) -> str:
    """Return the search as JSON: the best recipe, the importances, every trial."""
    best, recipe = found.best, found.recipe
    content = {
        "format": FORMAT,
        "interrupted": found.interrupted,
        "best": None
        if best is None or recipe is None
        else {
            "trial": best.number,
            "score": best.score,
            "macro_f1": dict(best.macro_f1),
            "recipe": recipe.model_dump(mode="json"),
        },
        "importances": dict(found.importances),
        "trials": [asdict(trial) for trial in found.trials],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def shown(value: object) -> str:
    """Return a hyper-parameter as a reader wants it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
