"""Training: several tasks, one encoder, one or more networks that start alike.

Every batch mixes the tasks; a text counts for the heads that it has a label or a teacher's verdict
for. The weights are chosen on texts held out of the training files, never on a validation file.
"""

import numpy as np

from models.backbone import Backbone
from models.training.candidate import Candidate, Observer, Progress, Trained
from models.training.material import Material, Parts, gather
from models.training.member import Judge, Member, steps_of_epoch
from models.training.objective import Verdicts, weighted_targets
from models.training.recipe import Recipe
from models.weights import Weights, assemble, soup


def train(
    material: Material | Parts,
    backbone: Backbone,
    recipe: Recipe,
    *,
    device: str = "cpu",
    observer: Observer = lambda _: None,
    start: Weights | None = None,
    verdicts: Verdicts | None = None,
) -> Trained:
    """Train on the material, or on (training, held-out) corpora of each task.

    Deterministic given the seed. `recipe.members` networks start alike and see the texts in
    different orders; their best weights are averaged into a soup. The best candidate on the
    held-out texts is returned. Source of the soup: Wortsman et al. 2022, "Model soups", section 2.

    Args:
        start: weights of an earlier run of the same method and rank to go on from.
        verdicts: the teachers' probabilities of the material's texts (`models.training.teacher`).

    Raises:
        ModelError: the backbone or the start cannot be used, or the loss became NaN or infinite.
        DataError: a class has no training text.
    """
    if not isinstance(material, Material):
        material = gather(material)
    targets = weighted_targets(material, recipe, verdicts)
    judge = Judge(material, backbone, recipe, device)
    members = [
        Member(number, material, targets, judge, backbone, recipe, device, start).run(observer)
        for number in range(recipe.members)
    ]
    history = [candidate for member in members for candidate in member.history]
    best = max(members, key=lambda member: member.chosen.score)
    if len(members) == 1:
        return best
    weights = soup([member.weights for member in members])
    network = assemble(backbone, weights).to(device)
    candidate = Candidate(
        kind="soup",
        member=0,
        epoch=0,
        loss=float(np.mean([member.chosen.loss for member in members])),
        macro_f1=judge.scores(network),
    )
    history.append(candidate)
    steps = recipe.members * recipe.epochs * steps_of_epoch(len(material), recipe)
    observer(Progress(steps, steps, candidate.loss, candidate))
    if candidate.score < best.chosen.score:
        return Trained(best.weights, best.chosen, tuple(history))
    return Trained(weights, candidate, tuple(history))
