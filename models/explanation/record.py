"""An explanation as a record: what the command prints as JSON and a page can draw."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.labels import LABELS, Task

VERSION: Final = 1

Baseline = Literal["pad", "mask"]
Place = Annotated[int, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Word(_Record):
    """A word and what it said for the class (above 0) or against it (below 0), in log-odds.

    `start` and `end` (excluded) count Unicode code points of the text as it was given.
    """

    start: Place
    end: Place
    text: str
    score: float


class Explanation(_Record):
    """Why a text was given the probability of a class: version 1 of the JSON form.

    The scores of the words add up to `difference`, but for `completeness_error`: the share of
    `difference` by which they miss it (a difference below 0.1 counts as 0.1). `difference` is what
    the text moves the log-odds of the class, log(p / (1 - p)), from where they are with the
    `baseline` in place of every word. Words of a text that are not listed (links, what is beyond
    the last window) were not read.
    """

    version: Literal[1] = VERSION
    model: str  # version of the weights
    task: Task
    class_: Annotated[str, Field(alias="class")]
    probability: Annotated[float, Field(ge=0, le=1)]  # calibrated
    words: tuple[Word, ...]
    difference: float
    completeness_error: Annotated[float, Field(ge=0)]
    steps: Annotated[int, Field(ge=1)]  # of the integral
    baseline: Baseline

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.class_ not in LABELS[self.task]:
            raise ValueError(f"class {self.class_!r} is none of {self.task}")
        end = 0
        for word in self.words:
            if not end <= word.start < word.end:
                raise ValueError(
                    f"word {word.text!r}: {word.start} to {word.end} overlaps or is empty"
                )
            end = word.end
        return self

    def as_json(self) -> str:
        """Return the record as one line of JSON, `class` under that name."""
        return self.model_dump_json(by_alias=True)
