"""The search for hyper-parameters: pruned, resumable, chosen on held-out texts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

from models.__main__ import app
from models.errors import ModelError
from models.recipe import Recipe
from models.training.candidate import Progress
from models.training.search.outcome import Found
from models.training.search.session import run_search
from models.training.search.space import Choice, Range, read_space
from models.training.search.study import DIED, INTERRUPTED, Ledger
from models.training.settings import as_toml, read_recipe, recipe_of
from models.training.sources import Files

SETTINGS: dict[str, object] = {
    "epochs": 1,
    "evaluations_per_epoch": 2,
    "batch_size": 32,
    "average_decay": 0.9,
    "held_out": 0.25,
    "precision": "float32",
    "freeze_embeddings": False,
}
SPACE = """
method = ["full", "lora"]
rank = { low = 4, high = 16, step = 4 }
learning_rate = { low = 1e-4, high = 1e-2, log = true }
dropout = { low = 0.0, high = 0.4 }
"""

Search = Callable[..., Found]


class KilledError(Exception):
    """Stands for a fault in the middle of a trial."""


def search_into(folder: Path, files: Files, encoder: Path) -> Search:
    """Return `run_search` on our texts into one folder, with what a test changes."""

    def run(space: str = SPACE, **changes: object) -> Found:
        path = folder / "space.toml"
        path.write_text(space, "utf-8")
        given: dict[str, object] = {
            "files": files,
            "settings": SETTINGS,
            "out": folder / "search",
            "space": path,
            "trials": 3,
            "backbone": str(encoder),
            "device": "cpu",
            "threads": 1,
        }
        return run_search(**{**given, **changes})  # type: ignore[arg-type]

    return run


@pytest.fixture
def search(files: Files, tiny_encoder: Path, tmp_path: Path) -> Search:
    return search_into(tmp_path, files, tiny_encoder)


@pytest.fixture(scope="module")
def unbroken(
    files: Files, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Found]:
    """Four trials without a break; returns (folder, what was found)."""
    folder = tmp_path_factory.mktemp("unbroken")
    return folder / "search", search_into(folder, files, tiny_encoder)(trials=4)


def drawn(found: Found) -> list[tuple[object, float | None]]:
    """Return values and score of each trial that ended with a result."""
    return [(t.values, t.score) for t in found.trials if t.state in {"complete", "pruned"}]


def killing(exception: type[BaseException], trial: int) -> Callable[[Progress], None]:
    """Return an observer that raises in the middle of the trial of this place."""
    begun = 0

    def observe(progress: Progress) -> None:
        nonlocal begun
        begun += progress.step == 1 and progress.candidate is None
        if begun == trial + 1 and progress.step == 3:
            raise exception

    return observe


def test_the_best_recipe_is_the_one_with_the_highest_held_out_score_and_round_trips(
    unbroken: tuple[Path, Found],
) -> None:
    folder, found = unbroken

    assert found.best is not None
    assert [0, 1, 2, 3] == [trial.number for trial in found.trials]
    assert found.best.score == max(t.score or 0 for t in found.trials if t.state == "complete")
    assert found.best.score == pytest.approx(sum(found.best.macro_f1.values()) / 2)
    assert found.recipe == Recipe.model_validate(read_recipe(folder / "best.toml"))
    assert (folder / "search.png").read_bytes().startswith(b"\x89PNG")
    listed = json.loads((folder / "trials.json").read_text("utf-8"))
    assert listed["best"]["trial"] == found.best.number
    assert [t.score for t in found.trials] == [t["score"] for t in listed["trials"]]


def test_the_first_trial_is_the_recipe_as_it_is_without_a_search(search: Search) -> None:
    settings = {**SETTINGS, "rank": 8, "learning_rate": 2e-3}
    space = 'method = ["full", "lora"]\ndropout = { low = 0.0, high = 0.4 }'

    found = search(space, settings=settings, trials=1)

    assert {"method": "lora", "dropout": 0.1} == found.trials[0].values


def test_the_same_seed_draws_the_same_trials_and_another_one_others(
    search: Search, unbroken: tuple[Path, Found], tmp_path: Path
) -> None:
    first = drawn(unbroken[1])[:2]
    again = search(out=tmp_path / "b", trials=2)
    other = search(out=tmp_path / "c", trials=2, seed=2)

    assert first == drawn(again)
    assert first[1:] != drawn(other)[1:]


def test_a_rank_is_drawn_under_methods_that_have_one_and_alpha_follows_it(search: Search) -> None:
    found = search(trials=6, pruner="none")

    methods = {trial.values["method"] for trial in found.trials}
    assert {"full", "lora"} == methods
    for trial in found.trials:
        assert ("rank" in trial.values) == (trial.values["method"] == "lora")
        if "rank" in trial.values:
            assert found.space.recipe(trial.values).alpha == 2 * trial.values["rank"]


def test_a_trial_that_falls_behind_is_pruned_before_its_end(search: Search) -> None:
    space = "learning_rate = [6e-3, 1e-12, 4e-3, 8e-3]"
    longer = {"epochs": 4, "evaluations_per_epoch": 1, "average_decay": 0.0}
    settings = {**SETTINGS, "method": "full", **longer}

    found = search(space, settings=settings, trials=7)

    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert 1e-12 in {trial.values["learning_rate"] for trial in pruned}
    assert {"behind the others"} == {trial.reason for trial in pruned}
    assert all(1 <= trial.evaluations < 4 for trial in pruned)
    assert found.best is not None
    assert 4 == found.best.evaluations
    assert found.best.values["learning_rate"] > 1e-12


def test_a_trial_that_diverges_is_pruned_and_the_search_goes_on(search: Search) -> None:
    settings = {**SETTINGS, "method": "full", "clip_norm": 1e9, "average_decay": 0.0}

    found = search("learning_rate = [1e38, 1e-3]", settings=settings, trials=6)

    states = {trial.values["learning_rate"]: (trial.state, trial.reason) for trial in found.trials}
    assert {1e38: ("pruned", "diverged"), 1e-3: ("complete", "")} == states


def test_a_search_that_an_error_ended_goes_on_to_the_trials_of_an_unbroken_one(
    search: Search, unbroken: tuple[Path, Found]
) -> None:
    with pytest.raises(KilledError):
        search(trials=4, observer=killing(KilledError, 2))
    resumed = search(trials=4)

    assert drawn(unbroken[1]) == drawn(resumed)
    failed = [trial for trial in resumed.trials if trial.state == "failed"]
    assert [2] == [trial.number for trial in failed]
    assert "KilledError" == failed[0].reason
    assert [2] == [t.retry_of for t in resumed.trials if t.retry_of is not None]


def test_ctrl_c_ends_with_what_has_been_found_and_the_same_call_goes_on(
    search: Search, unbroken: tuple[Path, Found], tmp_path: Path
) -> None:
    found = search(observer=killing(KeyboardInterrupt, 1))

    assert found.interrupted
    assert ["complete", "failed"] == [trial.state for trial in found.trials]
    assert INTERRUPTED == found.trials[1].reason
    assert found.best is found.trials[0]
    assert (tmp_path / "search" / "best.toml").exists()
    assert drawn(unbroken[1])[:3] == drawn(search())


COMMAND = """
import os, signal, sys
from models.__main__ import main
from models.training.search import session

run = session._Search._run
def watched(self, trial):
    if trial.number == int(os.environ.get("KILL_AT", "-1")):
        self._observer = lambda p: os.kill(os.getpid(), signal.SIGKILL) if p.step == 3 else None
    run(self, trial)
session._Search._run = watched
sys.argv[0] = "python -m models"
sys.exit(main())
"""


def test_the_command_killed_by_sigkill_tries_the_running_trial_again(
    unbroken: tuple[Path, Found], files: Files, tiny_encoder: Path, tmp_path: Path
) -> None:
    (tmp_path / "space.toml").write_text(SPACE, "utf-8")
    options = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    data = [f"--{task}={path}" for task, path in files.training.items()]
    more = [f"--out={tmp_path / 'killed'}", f"--space={tmp_path / 'space.toml'}", "--trials=3"]
    given = [f"--backbone={tiny_encoder}", "--threads=1", "--device=cpu", "--json"]

    def command(kill_at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "search", *data, *options, *more, *given],
            env={**os.environ, "KILL_AT": str(kill_at)},
            capture_output=True,
            text=True,
            check=False,
        )

    killed, resumed = command(1), command(-1)

    assert [-signal.SIGKILL, 0] == [killed.returncode, resumed.returncode]
    trials = json.loads(resumed.stdout)["trials"]
    assert ["complete", "failed"] == [trial["state"] for trial in trials[:2]]
    assert [DIED, 1] == [trials[1]["reason"], trials[2]["retry_of"]]
    ended = [t for t in trials if t["state"] in {"complete", "pruned"}]
    assert drawn(unbroken[1])[:3] == [(t["values"], t["score"]) for t in ended]


def test_a_trial_whose_process_died_three_times_is_given_up(search: Search, tmp_path: Path) -> None:
    fail = Ledger.fail

    def told_by_the_next_process(ledger: Ledger, number: int, reason: str) -> None:
        if reason == DIED:
            fail(ledger, number, reason)

    search(trials=1)
    for _ in range(3):
        with pytest.MonkeyPatch.context() as patch:
            # As if the process were gone: nothing is told of the trial's end by itself.
            patch.setattr(Ledger, "fail", told_by_the_next_process)
            with pytest.raises(KilledError):
                search(trials=3, observer=killing(KilledError, 0))

    found = search(trials=3)

    assert ["complete", *["failed"] * 3, "complete"] == [t.state for t in found.trials]
    assert [None, 1, 2, None] == [trial.retry_of for trial in found.trials[1:]]
    assert found.trials[3].values == found.trials[1].values != found.trials[4].values


def test_more_trials_extend_a_search(search: Search, unbroken: tuple[Path, Found]) -> None:
    search(trials=2)

    assert drawn(unbroken[1]) == drawn(search(trials=4))


def test_other_data_space_or_settings_than_the_search_was_begun_with_are_refused(
    search: Search, files: Files, tmp_path: Path
) -> None:
    search(trials=1)
    more = tmp_path / "more.csv"
    more.write_text(files.training["topic"].read_text("utf-8") + "A new text,Macro\n", "utf-8")
    other = replace(files, training={**files.training, "topic": more})

    with pytest.raises(ModelError, match=r"search.db: of a search with other .*training data"):
        search(files=other)
    with pytest.raises(ModelError, match=r"other space of dropout; .*choose another --out"):
        search(SPACE.replace("0.4", "0.3"))
    with pytest.raises(ModelError, match="other hyper-parameter epochs; "):
        search(settings={**SETTINGS, "epochs": 3})
    with pytest.raises(ModelError, match="other pruner, seed of the search; "):
        search(seed=5, pruner="none")


def test_a_folder_where_another_program_searches_is_refused(search: Search, tmp_path: Path) -> None:
    def nested(_: Progress) -> None:
        search()

    with pytest.raises(ModelError, match="another program searches in it"):
        search(observer=nested)


def test_a_damaged_study_is_one_clear_error(search: Search, tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search.db").write_bytes(b"not a database" * 100)

    with pytest.raises(ModelError, match=r"search.db: cannot be read or written.*--out"):
        search()


def test_all_faults_of_a_space_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(
        """
rankk = { low = 1, high = 2 }
rank = { low = 0, high = 8 }
learning_rate = { low = 1e-3, high = 1e-4, log = true }
dropout = { low = 0.0, high = 0.3, log = true }
layer_decay = { low = 0.8, hihg = 1.0 }
method = ["lora", "magic"]
schedule = { low = 1, high = 2 }
seed = [1, 2]
split_seed = [1, 2]
epochs = { low = 1, high = 4, step = 2 }
batch_size = []
distil_share = { low = 0.1, high = 0.5 }
clip_norm = -1.0
""",
        "utf-8",
    )

    with pytest.raises(ModelError) as caught:
        read_space(path, {"warmup": 2})

    text = str(caught.value)
    for part in (
        "rankk: Extra inputs are not permitted",
        "there are: method, rank",
        "rank: Input should be greater than or equal to 1 (low = 0)",
        "learning_rate: low 0.001 is not below high 0.0001",
        "dropout: a range on a log scale begins above 0",
        "layer_decay: a range has low, high, log, step; not hihg",
        "layer_decay: the range has no high",
        "method: Input should be 'lora'",
        "schedule: is no number; give a list of choices",
        "seed: decides which texts are held out",
        "split_seed: decides which texts are held out",
        "epochs: step 2 does not lead from 1 to 4",
        "batch_size: an empty list",
        "distil_share: does nothing without teachers",
        "clip_norm: Input should be greater than 0",
        "warmup: Input should be less than 1",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("rank = {", "not valid TOML"),
        ("rank = 8", "nothing varies"),
        ("rank = [8, 8]", "the same choice twice"),
        ("rank = { low = 1, high = 8, step = 0.5 }", "takes whole numbers"),
        ("rank = { low = 1, high = 8, step = 7, log = true }", "log and step together"),
        ("dropout = [0.1, 0.2]\nepochs = 2", "epochs: given in the space and outside it"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(content: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(content, "utf-8")

    with pytest.raises(ModelError, match=fault):
        read_space(path, {"epochs": 3})


def test_the_default_space_contains_the_default_recipe_and_yields_to_given_values() -> None:
    space = read_space(None, {"method": "full", "batch_size": "64"})

    names = {dimension.name for dimension in space.dimensions}
    assert {"method": "full", "batch_size": 64} == space.fixed
    assert not {"method", "batch_size"} & names
    baseline = space.baseline()
    assert names - {"rank", "bottleneck"} == set(baseline)
    assert space.recipe(baseline) == space.recipe({}).model_copy(
        update={"head_learning_rate": Recipe().learning_rate}
    )


def test_values_find_their_place_on_an_axis_of_the_scale_that_they_are_drawn_on() -> None:
    assert 0.5 == pytest.approx(Range("learning_rate", 1e-4, 1e-2, log=True).place(1e-3))
    assert 0.25 == Range("dropout", 0.0, 0.4).place(0.1)
    assert [0.0, 0.5, 1.0] == [Choice("batch_size", (8, 16, 64)).place(v) for v in (8, 16, 64)]
    assert 24 in Range("rank", 8, 64, step=8, whole=True)
    assert 25 not in Range("rank", 8, 64, step=8, whole=True)


def test_study_states_are_told_to_optuna_as_they_are(search: Search, tmp_path: Path) -> None:
    search(trials=2)

    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/search/search.db")

    assert ["COMPLETE", "COMPLETE"] == [trial.state.name for trial in study.trials]
    assert {1, 2} == set(study.trials[1].intermediate_values)


def test_train_takes_a_recipe_file_and_options_override_it(
    files: Files, tiny_encoder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "best.toml"
    recipe = Recipe.model_validate({**SETTINGS, "method": "bitfit", "epochs": 1})
    path.write_text(as_toml(recipe, "of two\nlines"), "utf-8")
    data = [f"--{task}={path}" for task, path in files.training.items()]
    arguments = ["train", *data, f"--out={tmp_path / 'm'}", f"--recipe={path}", "--set=dropout=0.2"]

    result = CliRunner().invoke(app, [*arguments, "--seed=3", f"--backbone={tiny_encoder}"])

    assert 0 == result.exit_code, result.output
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text("utf-8"))
    expected = recipe.model_copy(update={"dropout": 0.2, "seed": 3})
    assert expected.model_dump(mode="json") == manifest["recipe"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": -1}, r"learning_rate: Input should be greater than 0 \(found -1\)$"),
        ({"epochz": 3}, r"epochz: no such name; there are: .*epochs"),
    ],
)
def test_a_wrong_hyper_parameter_is_told_by_its_value_or_its_name(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        recipe_of(settings)


def test_a_recipe_file_with_faults_names_them_all(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('method = "magic"\nspeed = 3\nrank = 0\n', "utf-8")

    with pytest.raises(ModelError, match=r"recipe.toml: method: .*rank: .*speed: .*there are"):
        read_recipe(path)


def test_the_command_prints_the_default_space() -> None:
    result = CliRunner().invoke(app, ["search", "--show-space"])

    assert 0 == result.exit_code
    assert "learning_rate = { low = 5e-5, high = 2e-3, log = true }" in result.output
