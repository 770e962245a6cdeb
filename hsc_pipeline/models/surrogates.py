"""Models: what drives an outcome, how well it is foreseen, and against which baseline."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

FEATURES = {
    "log_cd34_per_kg": "log10 CD34+ dose per kg",
    "busulfan_auc": "busulfan exposure",
    "mean_copies": "VCN of the product",
    "age_years": "age at infusion",
    "weight_kg": "weight",
    "null_genotype": "null genotype",
}
TARGETS = {
    "vcn_neutrophil": "VCN of neutrophils",
    "corrected_t_cells": "corrected fraction of T cells",
    "platelets_per_ul": "platelets",
    "immune_score": "immune competence score",
}
LARGEST_FOLDS = 5
FEWEST_PATIENTS = 10
PERMUTATIONS = 5
FALSE_CLAIMS = 0.05  # chance that a study of noise claims any target for the surrogate
TREES = 100


def fit_surrogates(outcomes: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Predict outcomes of the infused from what is known at infusion, with honest evaluation.

    Patients are split by group: rows of one virtual patient under several arms never stand on
    both sides of a split.  A surrogate stands beside its baselines, a constant and a linear model
    of the same features.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES`.
    seed : int

    Returns
    -------
    dict of str to pandas.DataFrame
        ``performance`` (target, model, fold, r2, rmse), ``importance`` (target, feature, loss of
        R2 when the feature is shuffled in held-out rows: mean and sd over folds and
        permutations) and ``predictions`` (arm, patient, target, model, observed, predicted).
        All are empty where fewer than ten patients leave nothing to learn from.
    """
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    outcomes = outcomes[outcomes["infused"]]
    features, groups = design_matrix(outcomes), outcomes["patient"].to_numpy()
    performance, importance, predictions = [], [], []
    folds = min(LARGEST_FOLDS, len(np.unique(groups)) // 2)
    if len(np.unique(groups)) < FEWEST_PATIENTS:
        return _frames(performance, importance, predictions)
    with threadpool_limits(1):
        for target in TARGETS:
            y = outcomes[target].to_numpy(float)
            for fold, (train, test) in enumerate(GroupKFold(folds).split(features, y, groups)):
                for name, make in candidates(seed).items():
                    model = make().fit(features.iloc[train], y[train])
                    predicted = model.predict(features.iloc[test])
                    performance.append(
                        {"target": target, "model": name, "fold": fold, **errors(y[test], predicted)}
                    )
                    rows = outcomes.iloc[test][["arm", "patient"]].assign(
                        target=target, model=name, observed=y[test], predicted=predicted
                    )
                    predictions.append(rows)
                    if name == "surrogate":
                        shuffled = permutation_importance(
                            model,
                            features.iloc[test],
                            y[test],
                            n_repeats=PERMUTATIONS,
                            random_state=seed % 2**32,
                        )
                        importance.append((target, shuffled.importances))
    return _frames(performance, importance, predictions)


def design_matrix(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return what is known at infusion, one column per feature."""
    known = outcomes.assign(log_cd34_per_kg=np.log10(outcomes["cd34_per_kg"]))
    return known[list(FEATURES)].astype(float)


def candidates(seed: int) -> Mapping[str, Callable]:
    """Return makers of the models by name: two baselines and the surrogate."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "constant": DummyRegressor,
        "linear": lambda: make_pipeline(StandardScaler(), LinearRegression()),
        "surrogate": lambda: RandomForestRegressor(
            TREES, min_samples_leaf=5, max_features=0.6, n_jobs=1, random_state=seed % 2**32
        ),
    }


def errors(observed: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the R2 and the root mean squared error of held-out predictions."""
    residual = np.mean((observed - predicted) ** 2)
    spread = np.mean((observed - observed.mean()) ** 2)
    return {"r2": float(1 - residual / spread) if spread > 0 else 0.0, "rmse": float(np.sqrt(residual))}


def compare_to_baseline(performance: pd.DataFrame) -> pd.DataFrame:
    """Return mean and sd of R2 by target and model, and whether the surrogate beats the linear model.

    Folds share most of their training rows, so the error of the mean gain is widened after [1]_ and
    held against a t quantile, divided over the targets.

    References
    ----------
    .. [1] Nadeau and Bengio 2003, Machine Learning 52:239, 10.1023/A:1024068626366
    """
    from scipy.stats import t

    r2 = performance.pivot(index=["target", "fold"], columns="model", values="r2")
    summary = r2.groupby("target", sort=False).agg(["mean", "std"])
    summary.columns = [f"{model}_r2_{what}" for model, what in summary.columns]
    gain = (r2["surrogate"] - r2["linear"]).groupby("target", sort=False)
    summary["gain_mean"] = gain.mean()
    folds = gain.size()
    summary["gain_standard_error"] = gain.std() * np.sqrt(1 / folds + 1 / (folds - 1))
    limit = t.ppf(1 - FALSE_CLAIMS / len(summary), folds - 1)
    summary["surrogate_beats_linear"] = summary["gain_mean"] > limit * summary["gain_standard_error"]
    return summary.reset_index()


def _frames(performance: list, importance: list, predictions: list) -> dict[str, pd.DataFrame]:
    by_target: dict[str, list] = {}
    for target, losses in importance:
        by_target.setdefault(target, []).append(losses)
    rows = []
    for target, losses in by_target.items():
        all_losses = np.concatenate(losses, axis=1)
        rows += [
            {"target": target, "feature": feature, "r2_loss": loss.mean(), "r2_loss_sd": loss.std()}
            for feature, loss in zip(FEATURES, all_losses, strict=True)
        ]
    columns = ["arm", "patient", "target", "model", "observed", "predicted"]
    return {
        "performance": pd.DataFrame(performance, columns=["target", "model", "fold", "r2", "rmse"]),
        "importance": pd.DataFrame(rows, columns=["target", "feature", "r2_loss", "r2_loss_sd"]),
        "predictions": pd.concat(predictions)[columns] if predictions else pd.DataFrame(columns=columns),
    }
