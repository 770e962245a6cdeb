"""Honest evaluation: splits that nobody stands on both sides of, and scores of what was held out."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

LARGEST_FOLDS = 5
REPEATS = 10  # times that folds are drawn for the baselines, which cost little
FALSE_CLAIMS = 0.05  # chance that a study of noise makes any claim, over all targets together
CONFIDENCE = 0.9  # of intervals of shares
CALIBRATION_BINS = 5
LEAST_CHANCE = 1e-6  # a chance of nothing would cost an infinite log loss
BASELINES = ("constant", "linear", "closed_form")


def grouped_folds(
    *groups: Sequence | np.ndarray,
    seed: int,
    folds: int = LARGEST_FOLDS,
    labels: Sequence | np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and held-out rows, so that no group of any grouping stands on both sides.

    Rows that are linked, through however many patients and points, form a block.  Where there are at
    least `folds` blocks (other patients at each point), blocks are dealt out.  Where the groupings are
    crossed (the same patients at every point), the groups of each grouping are dealt out to folds,
    rows that are held out in all groupings are tested, and rows held out in none are learnt from.

    Parameters
    ----------
    *groups : sequence, shape (rows,)
        One or two labels of each row, such as its patient and its design point.
    seed : int
    folds : int
        Fewer where there are too few groups.
    labels : sequence, shape (rows,), optional
        Classes to spread over the folds evenly where blocks are dealt out.

    Yields
    ------
    training, held_out : numpy.ndarray of int
        Places of rows.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    coded = [np.unique(np.asarray(group), return_inverse=True)[1] for group in groups]
    blocks = _blocks(coded)
    dealt = dict(shuffle=True, random_state=seed % 2**32)
    if len(np.unique(blocks)) >= folds:
        split = GroupKFold if labels is None else StratifiedGroupKFold
        yield from split(folds, **dealt).split(blocks, labels, blocks)
        return
    folds = min(folds, *(code.max() + 1 for code in coded))
    held_out = np.array([_dealt(code, folds, seed + place) for place, code in enumerate(coded)])
    for fold in range(folds):
        yield np.flatnonzero((held_out != fold).all(axis=0)), np.flatnonzero((held_out == fold).all(axis=0))


def _dealt(code: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row's group, the groups dealt out at random and evenly."""
    order = np.random.default_rng(seed).permutation(code.max() + 1)
    return order[code] % folds


def _blocks(coded: Sequence[np.ndarray]) -> np.ndarray:
    """Return the block of each row: rows linked through any of their groups are in the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    offsets = np.cumsum([0, *(code.max() + 1 for code in coded)])
    nodes = [code + offset for code, offset in zip(coded, offsets[:-1], strict=True)]
    ends = np.concatenate([np.stack([nodes[0], other]) for other in nodes], axis=1)
    graph = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(offsets[-1], offsets[-1]))
    return connected_components(graph, directed=False)[1][nodes[0]]


def skill(error: float, error_of_mean: float) -> float:
    """Return 1 - error / error of the held-out rows' own mean: 1 is perfect, 0 no better than that mean.

    This is R2 where errors are squared; for chances it is the Brier skill score.  Rows that do not differ
    leave no skill to show.
    """
    return float(1 - error / error_of_mean) if error_of_mean > 0 else 0.0


def errors(observed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return R2, as ``skill``, and the root mean squared error of held-out predictions."""
    residual = np.mean((observed - predicted) ** 2)
    spread = np.mean((observed - observed.mean()) ** 2)
    return {"skill": skill(residual, spread), "rmse": float(np.sqrt(residual))}


def chance_scores(happened: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    """Return Brier skill, Brier score, log loss and area under the ROC curve of predicted chances.

    The area is empty where all or none of the held-out rows have the event.
    """
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    happened = np.asarray(happened, int)
    brier = brier_score_loss(happened, chance, pos_label=1)
    kept = np.clip(chance, LEAST_CHANCE, 1 - LEAST_CHANCE)
    both = happened.min() < happened.max()
    return {
        "skill": skill(brier, float(happened.mean() * (1 - happened.mean()))),
        "brier": float(brier),
        "log_loss": float(log_loss(happened, kept, labels=[0, 1])),
        "auc": float(roc_auc_score(happened, chance)) if both else np.nan,
    }


def calibration(
    happened: np.ndarray, chance: np.ndarray, patients: np.ndarray, bins: int = CALIBRATION_BINS
) -> pd.DataFrame:
    """Return what was predicted and what came of it, in bins of equally many held-out rows.

    Returns
    -------
    pandas.DataFrame
        By ``bin``: mean ``predicted``, ``observed`` share with Wilson's interval (``low``, ``high``),
        ``rows`` and ``patients``.  Rows of one patient hang together, so the interval counts patients.
    """
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, chance, side="right") - 1, 0, max(0, len(edges) - 2))
    rows = []
    for count, which in enumerate(np.unique(place)):
        inside = place == which
        share, n = float(happened[inside].mean()), len(np.unique(patients[inside]))
        low, high = share_interval(share, n)
        mean = float(chance[inside].mean())
        rows.append((count, mean, share, low, high, int(inside.sum()), n))
    return pd.DataFrame(rows, columns=["bin", "predicted", "observed", "low", "high", "rows", "patients"])


def share_interval(share: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval of a share of `n` independent units; the share may be a mean of shares."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(share * n, n, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def gains(performance: pd.DataFrame, model: str, baseline: str, repeats: int = 1) -> pd.DataFrame:
    """Return by target the mean gain of skill over a baseline, its standard error and one-sided p value.

    Folds share most of their training rows, so the error of the mean gain is widened after [1]_, and
    of folds that are drawn several times after [2]_.

    References
    ----------
    .. [1] Nadeau and Bengio 2003, Machine Learning 52:239, 10.1023/A:1024068626366
    .. [2] Bouckaert and Frank 2004, 10.1007/978-3-540-24775-3_3
    """
    from scipy.stats import t

    by_model = performance.pivot(index=["target", "fold"], columns="model", values="skill")
    by_target = (by_model[model] - by_model[baseline]).groupby("target", sort=False)
    folds, mean = by_target.size(), by_target.mean()
    # Folds with nothing to learn from are left out, so there may be fewer than one wants.
    error = by_target.std() * np.sqrt(1 / folds + 1 / (folds / repeats - 1).clip(lower=1))
    # Folds that all gain the same leave no doubt, or nothing to doubt.
    sure = error.to_numpy() == 0
    p = np.where(sure, np.where(mean > 0, 0.0, 1.0), t.sf(mean / error.where(~sure, 1.0), folds - 1))
    return pd.DataFrame({"mean": mean, "standard_error": error, "p": p})


def compare_to_baseline(performance: pd.DataFrame, repeats: pd.DataFrame) -> pd.DataFrame:
    """Return by target what each model is worth, and whether the surrogate beats its baselines.

    To beat them is to beat each, in one-sided t tests that must all agree.  The chance that noise does so
    for any target is at most `FALSE_CLAIMS` (Holm's procedure over targets).

    Parameters
    ----------
    performance : pandas.DataFrame
        target, model, fold and skill of held-out rows; models are `BASELINES` and ``surrogate``.
    repeats : pandas.DataFrame
        The same of the baselines alone, in folds drawn `REPEATS` times.

    Returns
    -------
    pandas.DataFrame
        By target: mean and sd of skill over folds of each model, ``gain_mean`` and
        ``gain_standard_error`` over the baseline that is hardest to beat (``hardest_baseline``),
        ``surrogate_beats_linear``, ``surrogate_beats_baselines``, ``foreseen`` (the surrogate beats the
        constant, or another baseline does in the repeats; p values times their number) and ``kept``: the
        surrogate if it beats every baseline, else the baseline with the best mean.
    """
    skills = performance.pivot(index=["target", "fold"], columns="model", values="skill")
    summary = skills.groupby("target", sort=False).agg(["mean", "std"])
    means = summary.xs("mean", axis=1, level=1)
    summary.columns = [f"{model}_skill_{what}" for model, what in summary.columns]
    over = {name: gains(performance, "surrogate", name) for name in BASELINES}
    summary["hardest_baseline"] = pd.DataFrame({name: gain["p"] for name, gain in over.items()}).idxmax(
        axis=1
    )
    for what in ("mean", "standard_error"):
        found = pd.DataFrame({name: gain[what] for name, gain in over.items()})
        summary[f"gain_{what}"] = [
            found.loc[target, name] for target, name in summary["hardest_baseline"].items()
        ]
    beaten = pd.DataFrame({name: claimed(gain["p"]) for name, gain in over.items()})
    summary["surrogate_beats_linear"] = beaten["linear"]
    summary["surrogate_beats_baselines"] = beaten.all(axis=1)
    p = {"surrogate": gains(performance, "surrogate", "constant")["p"]}
    if not repeats.empty:
        again = (name for name in BASELINES if name != "constant")
        p |= {name: gains(repeats, name, "constant", REPEATS)["p"] for name in again}
    summary["foreseen"] = claimed((pd.DataFrame(p).min(axis=1) * len(p)).clip(upper=1))
    best = means[list(BASELINES)].idxmax(axis=1)
    summary["kept"] = best.where(~summary["surrogate_beats_baselines"], "surrogate")
    return summary.reindex(pd.unique(performance["target"])).rename_axis("target").reset_index()


def claimed(p: pd.Series) -> pd.Series:
    """Tell for which targets a claim may be made (Holm 1979, Scand J Stat 6:65)."""
    from statsmodels.stats.multitest import multipletests

    return pd.Series(multipletests(p.to_numpy(), alpha=FALSE_CLAIMS, method="holm")[0], index=p.index)
