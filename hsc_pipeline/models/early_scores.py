"""How good early predictions are, whether more knowledge makes them better, and how early is enough."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.models.decision import clustered_auc, patient_sums, ratio_interval

FALSE_CLAIMS = 0.05  # chance that a study of noise makes any claim, of events and of amounts each
LEAST_PROBABILITY = 0.001  # a forest may say never, for which the log loss is infinite
MARGIN = 0.05  # skill that a reader gives up for an earlier answer
SURE = 0.90  # share of resamples in which a month must be within the margin
RESAMPLES = 1000
SCORES = ("skill", "mean_squared_error", "auc", "log_loss")


def score(
    y: np.ndarray,
    predicted: np.ndarray,
    constant: np.ndarray,
    patients: np.ndarray,
    folds: np.ndarray,
    events: bool,
) -> dict[str, float]:
    """Return `SCORES` of held-out predictions, each with ``_low`` and ``_high`` between patients.

    Parameters
    ----------
    y, predicted, constant : numpy.ndarray, shape (rows,)
        What happened, was foreseen, and was foreseen by the constant.
    patients, folds : numpy.ndarray, shape (rows,)
        Whose the row is, and which fold held it out.
    events : bool
        AUC and log loss are of events only; the mean squared error of an event is its Brier score.

    Returns
    -------
    dict of str to float
        Skill is one minus the mean squared error over that of the constant.
    """
    ones, errors = np.ones(len(y)), (y - predicted) ** 2
    ratio, low, high, _ = ratio_interval(errors, (y - constant) ** 2, patients)
    found = {"skill": (1 - ratio, 1 - high, 1 - low)}
    found["mean_squared_error"] = ratio_interval(errors, ones, patients)[:3]
    found["auc"] = found["log_loss"] = (np.nan,) * 3
    if events:
        p = np.clip(predicted, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        found["log_loss"] = ratio_interval(-np.log(np.where(y > 0, p, 1 - p)), ones, patients)[:3]
        found["auc"] = clustered_auc(y > 0, predicted, patients, folds)
    return {
        f"{name}{end}": value
        for name in SCORES
        for end, value in zip(("", "_low", "_high"), found[name], strict=True)
    }


def gain_p(worse: np.ndarray, better: np.ndarray, patients: np.ndarray) -> float:
    """Return the one-sided p value that losses of held-out patients do not fall.

    A t test of each patient's mean gain.  That folds share training rows does not bias it where the
    models are stable, as ridge and forests are [1]_.

    References
    ----------
    .. [1] Bayle et al. 2020, Advances in Neural Information Processing Systems 33, arXiv:2007.12671
    """
    from scipy.stats import t

    gain, _, _, error = ratio_interval(worse - better, np.ones(len(worse)), patients)
    if not error > 0:
        return 1.0
    return float(t.sf(gain / error, len(np.unique(patients)) - 1))


def claims(asked: pd.DataFrame, p: str) -> pd.DataFrame:
    """Return p values adjusted over all months and targets, and what they claim.

    Of each target the latest month is asked first and each earlier one only where the later one was
    claimed, so that months cost nothing (a fixed sequence [1]_); over targets at their visits the level
    is divided.  Events, which one acts upon, and amounts are families of their own.

    Parameters
    ----------
    asked : pandas.DataFrame
        target, goal_month, known_month, the columns `p` and ``events``; p is NaN where nothing was asked.
    p : str

    Returns
    -------
    pandas.DataFrame
        ``p`` and ``claimed``, on the index of `asked`.

    References
    ----------
    .. [1] Goeman and Solari 2010, Annals of Statistics 38:3782, 10.1214/10-AOS829, serial gatekeeping
    """
    case = ["target", "goal_month"]
    known = asked.astype({p: float}).dropna(subset=p).sort_values("known_month", ascending=False)
    cases = known.drop_duplicates(case).groupby("events").size()
    adjusted = (known.groupby(case)[p].cummax() * known["events"].map(cases)).clip(upper=1.0)
    adjusted = adjusted.reindex(asked.index).astype(float)
    return pd.DataFrame({"p": adjusted, "claimed": adjusted < FALSE_CLAIMS})


def early_enough(
    losses: Mapping[float, np.ndarray], constant: np.ndarray, patients: np.ndarray, seed: int
) -> pd.DataFrame:
    """Return from which month on the skill is within `MARGIN` of the best month's.

    Held-out patients are drawn anew with replacement, all months together; models are not fitted
    anew, so the shares span who is met, not from whom was learnt.

    Parameters
    ----------
    losses : mapping of float to numpy.ndarray, shape (rows,)
        Squared errors by month of knowledge, ascending.
    constant : numpy.ndarray, shape (rows,)
        Squared errors of the constant.
    patients : numpy.ndarray, shape (rows,)
    seed : int

    Returns
    -------
    pandas.DataFrame
        known_month; skill; behind (the best month) with its 90 % interval; within_share, in how
        many resamples the month is within the margin; earliest_share, in how many it is the earliest
        such; earliest, of the patients as they are; and sure, the earliest that is within the margin in
        at least `SURE` of the resamples.
    """
    sums = patient_sums(np.stack([constant, *losses.values()], axis=1), patients)
    skill = 1 - sums[:, 1:].sum(axis=0) / sums[:, 0].sum()
    rng = np.random.default_rng(seed)
    drawn = np.array([sums[rng.integers(len(sums), size=len(sums))].sum(axis=0) for _ in range(RESAMPLES)])
    skills = 1 - drawn[:, 1:] / drawn[:, :1]
    behind = skills.max(axis=1, keepdims=True) - skills
    within = behind <= MARGIN
    low, high = np.quantile(behind, [0.05, 0.95], axis=0)
    within_share = within.mean(axis=0)
    months = np.arange(len(losses))
    return pd.DataFrame(
        {
            "known_month": list(losses),
            "skill": skill,
            "behind": skill.max() - skill,
            "behind_low": low,
            "behind_high": high,
            "within_share": within_share,
            "earliest_share": (within.argmax(axis=1)[:, None] == months).mean(axis=0),
            "earliest": months == (skill.max() - skill <= MARGIN).argmax(),
            # The latest months may all be unsure where two of them compete.
            "sure": (months == (within_share >= SURE).argmax()) & (within_share >= SURE),
        }
    )
