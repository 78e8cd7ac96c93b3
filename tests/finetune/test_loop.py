"""The loop's options: early stopping, accumulation, precision, the board, adversary, views."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.backbone import find, load_encoder
from models.errors import ModelError
from models.network import Network, pad
from models.recipe import Recipe
from models.training.adversary import Adversary
from models.training.board import Board
from models.training.candidate import Candidate, Progress, Trained
from models.training.loop import train
from models.training.material import Material
from models.training.objective import divergence
from models.training.session import run_training
from models.training.settings import recipe_of
from models.training.sources import Files, collect

SETTINGS: dict[str, object] = {
    "method": "full",
    "freeze_embeddings": False,
    "learning_rate": 2e-3,
    "batch_size": 16,
    "epochs": 2,
    "precision": "float32",
    "held_out": 0.25,
}


@pytest.fixture(scope="module")
def material(files: Files) -> Material:
    return collect(files, recipe_of(SETTINGS)).material


def run(material: Material, encoder: Path, **settings: object) -> tuple[list[float], Trained]:
    """Return the losses of all steps, and what was trained."""
    losses: list[float] = []

    def observe(progress: Progress) -> None:
        if progress.candidate is None:
            losses.append(progress.loss)

    recipe = recipe_of({**SETTINGS, **settings})
    return losses, train(material, find(str(encoder)), recipe, observer=observe)


def test_training_stops_when_nothing_better_was_found_for_long(
    material: Material, tiny_encoder: Path
) -> None:
    settings = {"epochs": 30, "patience": 3, "learning_rate": 1e-12, "average_decay": 0.0}

    losses, found = run(material, tiny_encoder, **settings)

    steps = 5  # of an epoch
    assert 4 * steps == len(losses)  # one evaluation is the best, three bring nothing better
    assert [1, 2, 3, 4] == [candidate.epoch for candidate in found.history]
    assert 1 == found.chosen.epoch


def test_weights_are_judged_as_often_as_asked(material: Material, tiny_encoder: Path) -> None:
    _, found = run(material, tiny_encoder, evaluations_per_epoch=2, average_decay=0.0)

    assert [3, 5, 8, 10] == [candidate.step for candidate in found.history]


def test_accumulated_batches_make_one_step(material: Material, tiny_encoder: Path) -> None:
    losses, _ = run(material, tiny_encoder, batch_size=8, accumulation=2, epochs=1)

    assert 5 == len(losses)
    assert all(1 < loss < 8 for loss in losses)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_as_float32_does(
    precision: str, material: Material, tiny_encoder: Path
) -> None:
    expected, _ = run(material, tiny_encoder, dropout=0.0)

    found, trained = run(material, tiny_encoder, dropout=0.0, precision=precision)

    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert all(torch.isfinite(t).all() for t in trained.weights.values())


@pytest.mark.parametrize(
    "settings",
    [
        {"adversarial": "fgm"},
        {"adversarial": "pgd", "adversarial_steps": 2},
        {"r_drop": 1.0, "encoder_dropout": 0.1},
        {"augment": 0.5},
        {"consistency": 1.0},
        {"adversarial": "fgm", "r_drop": 1.0, "augment": 0.3, "consistency": 0.5},
    ],
)
def test_every_option_trains_reproducibly_and_makes_a_difference(
    settings: dict[str, object], material: Material, tiny_encoder: Path
) -> None:
    plain, _ = run(material, tiny_encoder)

    first, trained = run(material, tiny_encoder, **settings)
    second, again = run(material, tiny_encoder, **settings)

    assert first == second
    assert first != plain
    assert np.mean(first[5:]) < np.mean(first[:5])  # five steps an epoch
    assert all(torch.equal(t, again.weights[name]) for name, t in trained.weights.items())


def backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


class Embedded(nn.Module):
    """Word embeddings, and a loss that is a fixed linear function of what they give."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(7, 4)
        self.slope = torch.randn(3, 4)

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def loss(self, ids: Tensor) -> Tensor:
        found: Tensor = (self.words(ids) * self.slope).sum()
        return found


@pytest.mark.parametrize("kind", ["fgm", "pgd"])
def test_the_adversary_moves_each_text_by_epsilon_along_its_gradient(
    kind: Literal["fgm", "pgd"],
) -> None:
    encoder = Embedded()
    adversary = Adversary(encoder, Recipe(adversarial=kind, adversarial_epsilon=0.5))
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    seen: list[float] = []

    def loss_of() -> Tensor:
        loss = encoder.loss(ids)
        seen.append(float(loss.detach()))
        return loss

    clean = adversary.backward(loss_of, backward)

    # Linear: each text's loss grows by epsilon times the norm of its gradient.
    assert float(clean.detach()) == pytest.approx(float(encoder.loss(ids).detach()))
    grown = 2 * 0.5 * float(encoder.slope.norm())
    assert seen[0] + grown == pytest.approx(seen[-1], rel=1e-5)
    assert seen == sorted(seen)
    assert encoder.words.weight.grad is not None
    torch.testing.assert_close(encoder.words.weight.grad[1], encoder.slope[0])
    assert float(encoder.loss(ids).detach()) == pytest.approx(seen[0])


def test_a_network_is_not_moved_outside_of_a_step(tiny_encoder: Path) -> None:
    network = Network(load_encoder(find(str(tiny_encoder)))).eval()
    batch = pad([[2, 5, 3], [2, 6, 7, 3]], 0)
    expected = network(*batch)

    adversary = Adversary(network.encoder, Recipe(adversarial="fgm"))
    adversary.backward(lambda: network(*batch)["topic"].sum(), backward)

    torch.testing.assert_close(network(*batch)["topic"], expected["topic"])


def test_the_divergence_of_two_verdicts_is_that_of_kullback_and_leibler() -> None:
    p, q = torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([[0.1, 0.6, 0.3]])

    found = divergence({"sentiment": p.log() + 3}, {"sentiment": q.log()})

    assert float((p * (p / q).log()).sum()) == pytest.approx(float(found))


def test_the_board_shows_losses_rates_and_scores_and_nothing_twice_after_a_resume(
    tmp_path: Path,
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def shown(steps: range) -> None:
        board = Board(tmp_path)
        for step in steps:
            board(Progress(step, 6, loss=1 / step, learning_rate=0.1))
        scores = Candidate("average", 0, 1, 0.5, {"sentiment": 0.8, "topic": 0.6})
        board(Progress(steps[-1], 6, 0.5, scores))
        board.close()

    shown(range(1, 5))
    shown(range(3, 7))  # killed after step 4, the checkpoint was of step 2

    found = EventAccumulator(str(tmp_path)).Reload()
    losses = found.Scalars("training/loss")
    assert [1, 2, 3, 4, 5, 6] == [event.step for event in losses]
    assert [1 / step for step in range(1, 7)] == pytest.approx([e.value for e in losses])
    assert {0.1} == {round(event.value, 6) for event in found.Scalars("training/learning rate")}
    mean = found.Scalars("held-out macro-F1/mean, average weights")
    assert [0.7] == pytest.approx([event.value for event in mean if event.step == 6])


def test_a_board_whose_folder_cannot_be_made_is_refused_before_training(
    files: Files, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", "utf-8")

    with pytest.raises(ModelError, match="cannot be written"):
        run_training(files, {}, out=tmp_path / "m", tensorboard=tmp_path / "file" / "board")
