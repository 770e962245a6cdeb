"""What early models have learnt, and from how many: importance, partial dependence, learning curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.models.early_cases import FEWEST_EACH, Case, measurement
from hsc_pipeline.models.early_learners import HeldOut, predict
from hsc_pipeline.models.early_scores import score

LEARNING_STEPS = 4  # halvings of the number of training patients
SHUFFLES = 5
FOLLOWED = 3  # measurements whose partial dependence is followed
QUANTILES = tuple(step / 20 for step in range(1, 20, 2))


def learning_curve(case: Case, features: pd.DataFrame, whole: HeldOut) -> pd.DataFrame:
    """Return the skill by number of training patients, halved until too few are left.

    All sizes are held against the constant of all training patients.

    Parameters
    ----------
    case : Case
    features : pandas.DataFrame
        `knowledge`.
    whole : HeldOut
        What all training patients taught.

    Returns
    -------
    pandas.DataFrame
        model, training_patients (mean over folds), skill with skill_low and skill_high.
    """
    rows, scored = [], whole.scored
    for step in range(LEARNING_STEPS):
        most = round(whole.training_patients / 2**step)
        if step and most < FEWEST_EACH:
            break
        held = case.hold_out(features, most) if step else whole
        for name in ("linear", "forest", "chosen"):
            own = score(
                case.y[scored],
                held.predicted[name][scored],
                whole.predicted["constant"][scored],
                case.patients[scored],
                held.fold[scored],
                case.target.events,
            )
            skill = {end: own[end] for end in ("skill", "skill_low", "skill_high")}
            rows.append({"model": name, "training_patients": held.training_patients, **skill})
    return pd.DataFrame(rows)


def explain(case: Case, features: pd.DataFrame, held: HeldOut) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return permutation importance and partial dependence of the chosen models, in held-out rows.

    Returns
    -------
    importance : pandas.DataFrame
        feature (all visits of one measurement together), visits, skill_loss and skill_loss_sd over folds
        and shuffles; the most important first.
    dependence : pandas.DataFrame
        Of the first ones: feature, quantile, value, predicted, least and most over folds.
    """
    known = case.known(features)
    matrix, blocks = known.to_numpy(float), _blocks(known)
    losses = _losses(case, matrix, blocks, held)
    importance = pd.DataFrame(
        {
            "feature": list(blocks),
            "visits": [len(places) for places in blocks.values()],
            "skill_loss": [float(np.mean(loss)) for loss in losses.values()],
            "skill_loss_sd": [float(np.std(loss)) for loss in losses.values()],
        }
    ).sort_values(["skill_loss", "feature"], ascending=[False, True], ignore_index=True)
    followed = importance["feature"].head(FOLLOWED)
    return importance, pd.concat([_dependence(matrix, name, blocks[name], held) for name in followed])


def _blocks(known: pd.DataFrame) -> dict[str, list[int]]:
    """Return the places of the columns of each measurement, all its visits together, in their order."""
    blocks: dict[str, list[int]] = {}
    for place, feature in enumerate(known):
        blocks.setdefault(measurement(feature), []).append(place)
    return blocks


def _losses(
    case: Case, matrix: np.ndarray, blocks: dict[str, list[int]], held: HeldOut
) -> dict[str, list[float]]:
    """Return the loss of skill by measurement, one per fold and shuffle.

    Visits of one measurement are shuffled together: alone, each would stand in for the others.
    """
    rng, losses = np.random.default_rng(case.seed), {name: [] for name in blocks}
    for models, rows in held.fits:
        own, y = matrix[rows], case.y[rows]
        spread = float(np.sum((y - predict(models["constant"], own)) ** 2))
        before = float(np.sum((y - predict(models["chosen"], own)) ** 2))
        for _ in range(SHUFFLES):
            copies = np.tile(own, (len(blocks), 1, 1))
            for copy, places in zip(copies, blocks.values(), strict=True):
                copy[:, places] = own[rng.permutation(len(own))][:, places]
            after = _predict_each(models["chosen"], copies)
            for name, values in zip(blocks, after, strict=True):
                gained = float(np.sum((y - values) ** 2)) - before
                losses[name].append(gained / spread if spread > 0 else 0.0)
    return losses


def _dependence(matrix: np.ndarray, name: str, places: Sequence[int], held: HeldOut) -> pd.DataFrame:
    """Return the mean prediction where one measurement's whole course lies at a quantile of patients.

    Visits go together, so that no patient is made up who leaps from the bottom to the top of the
    cohort between two of them.  The value is that of the last visit.
    """
    courses = np.nanquantile(matrix[:, places], QUANTILES, axis=0)
    means = []
    for models, own in held.fits:
        copies = np.tile(matrix[own], (len(QUANTILES), 1, 1))
        copies[:, :, places] = courses[:, None]
        means.append(_predict_each(models["chosen"], copies).mean(axis=1))
    return pd.DataFrame(
        {
            "feature": name,
            "quantile": QUANTILES,
            "value": courses[:, -1],
            "predicted": np.mean(means, axis=0),
            "least": np.min(means, axis=0),
            "most": np.max(means, axis=0),
        }
    )


def _predict_each(model: Any, copies: np.ndarray) -> np.ndarray:
    """Return the predictions of several versions of the same rows, in one call."""
    versions, rows, features = copies.shape
    return predict(model, copies.reshape(versions * rows, features)).reshape(versions, rows)
