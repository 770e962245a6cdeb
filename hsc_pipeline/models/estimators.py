"""Surrogates and their baselines: how each kind of outcome is learnt, foreseen and judged.

A `Kind` gives regression, classification and time-to-event the same face, so that splits, search,
comparison and intervals are written once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsc_pipeline.models.evaluation import chance_scores, errors, grouped_folds
from hsc_pipeline.models.features import CLOSED_FORM
from hsc_pipeline.models.survival import event_free, followed, kaplan_meier, survival_scores

TREES = 50
SMALLEST_LEAF = 5  # rows
STEPS = 60  # of boosting
RIDGES = (1.0, 30.0, 1000.0)  # penalties of the quadratic surface that are tried
FEWEST_ROWS = 5  # to learn from; patients and points kept apart can leave none
INNER_FOLDS = 3
MOST_STEPS_OF_NEWTON = 1000


@dataclass(frozen=True)
class Kind:
    """How one kind of outcome is learnt and foreseen.

    Attributes
    ----------
    learn : callable
        Of an unfitted estimator, features and outcomes; returns what `foresee` takes.
    foresee : callable
        Of what was learnt and features: means, shape (rows,), chances, shape (rows,), or chances of no
        event by the end of each interval, shape (rows, intervals).
    judge : callable
        Of outcomes and what was foreseen; scores by name, with ``skill``.
    constant, linear : callable
        Makers of the baselines; `linear` of an array's columns to use.
    surrogates : callable
        Of a seed: makers of the candidates by name.
    chances : bool
        Whether chances are foreseen, which can be calibrated.
    """

    learn: Callable[[Any, np.ndarray, np.ndarray], Any]
    foresee: Callable[[Any, np.ndarray], np.ndarray]
    judge: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    constant: Callable[[], Any]
    linear: Callable[[list[int]], Any]
    surrogates: Callable[[int], Mapping[str, Callable[[], Any]]]
    chances: bool = True


def kind_of(kind: str, months: np.ndarray) -> Kind:
    """Return the `Kind` of that name; `months` end the intervals of a time to an event."""
    if kind == "regression":
        return _regression()
    return _classification() if kind == "classification" else _time_to_event(months)


def _regression() -> Kind:
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, Ridge

    def surrogates(seed: int) -> dict[str, Callable]:
        return {
            **{f"quadratic surface, ridge {ridge:g}": _quadratic(Ridge, alpha=ridge) for ridge in RIDGES},
            "random forest": lambda: RandomForestRegressor(**_forest(seed)),
            "gradient boosting": lambda: HistGradientBoostingRegressor(**_boosting(seed)),
        }

    return Kind(
        learn=lambda estimator, features, y: estimator.fit(features, y),
        foresee=lambda learnt, features: learnt.predict(features),
        judge=errors,
        constant=DummyRegressor,
        linear=lambda columns: _line(LinearRegression(), columns),
        surrogates=surrogates,
        chances=False,
    )


def _classification() -> Kind:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    def surrogates(seed: int) -> dict[str, Callable]:
        return {
            **_quadratic_logits(),
            "random forest": lambda: RandomForestClassifier(**_forest(seed)),
            "gradient boosting": lambda: HistGradientBoostingClassifier(**_boosting(seed)),
        }

    return Kind(
        learn=lambda estimator, features, y: estimator.fit(features, y),
        foresee=lambda learnt, features: learnt.predict_proba(features)[:, 1],
        judge=chance_scores,
        constant=lambda: DummyClassifier(strategy="prior"),
        linear=lambda columns: _line(LogisticRegression(max_iter=MOST_STEPS_OF_NEWTON), columns),
        surrogates=surrogates,
    )


def _time_to_event(months: np.ndarray) -> Kind:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    intervals = len(months)

    def learn(estimator, features: np.ndarray, y: np.ndarray):
        if estimator is None:
            return kaplan_meier(y, intervals)
        return estimator.fit(*followed(features, y))

    def foresee(learnt, features: np.ndarray) -> np.ndarray:
        if isinstance(learnt, np.ndarray):
            return np.tile(learnt, (len(features), 1))
        return event_free(learnt, features, intervals)

    def surrogates(seed: int) -> dict[str, Callable]:
        boosting = {"gradient boosting": lambda: HistGradientBoostingClassifier(**_boosting(seed))}
        return {**_quadratic_logits(by_interval=True), **boosting}

    return Kind(
        learn=learn,
        foresee=foresee,
        judge=lambda y, curves: survival_scores(y, curves, months),
        constant=lambda: None,
        linear=lambda columns: _line(
            LogisticRegression(max_iter=MOST_STEPS_OF_NEWTON), columns, by_interval=True
        ),
        surrogates=surrogates,
    )


def _forest(seed: int) -> dict:
    seeded = dict(random_state=seed % 2**32, n_jobs=1)
    return dict(n_estimators=TREES, min_samples_leaf=SMALLEST_LEAF, max_features=0.6, **seeded)


def _boosting(seed: int) -> dict:
    small = dict(max_leaf_nodes=6, min_samples_leaf=2 * SMALLEST_LEAF, l2_regularization=1.0)
    return dict(max_iter=STEPS, learning_rate=0.1, early_stopping=False, random_state=seed % 2**32, **small)


def _line(estimator, columns: list[int], by_interval: bool = False):
    """Return an estimator on some columns, standardised, and on the interval where there is one."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = [("features", StandardScaler(), columns)]
    return make_pipeline(ColumnTransformer(parts + _interval(by_interval)), estimator)


def _quadratic_logits(by_interval: bool = False) -> dict[str, Callable]:
    from sklearn.linear_model import LogisticRegression

    return {
        f"quadratic surface, ridge {ridge:g}": _quadratic(
            LogisticRegression, by_interval, C=1 / ridge, max_iter=MOST_STEPS_OF_NEWTON
        )
        for ridge in RIDGES
    }


def _quadratic(make: Callable, by_interval: bool = False, **penalty) -> Callable:
    """Return the maker of a response surface: all features, their squares and products, with a penalty."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    def surface():
        terms = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler())
        features = slice(0, -1) if by_interval else slice(0, None)
        parts = [("features", terms, features), *_interval(by_interval)]
        return make_pipeline(ColumnTransformer(parts), make(**penalty))

    return surface


def _interval(by_interval: bool) -> list[tuple]:
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return [("interval", encoder, [-1])] if by_interval else []


def closed_form_columns(features: list[str]) -> list[int]:
    """Return the places of the features that the closed-form baseline reads."""
    return [place for place, name in enumerate(features) if name in CLOSED_FORM]


def baselines(kind: Kind, features: list[str]) -> dict[str, Callable]:
    """Return makers of the baselines by name: constant, linear in all features, closed form."""
    return {
        "constant": kind.constant,
        "linear": lambda: kind.linear(list(range(len(features)))),
        "closed_form": lambda: kind.linear(closed_form_columns(features)),
    }


def search(
    kind: Kind, x: np.ndarray, y: np.ndarray, groups: list[np.ndarray], seed: int
) -> tuple[str, Callable]:
    """Return name and maker of the candidate with the best mean skill in folds of the rows given.

    The folds are grouped like all others, so that the choice, too, is made on patients not seen.
    """
    made = kind.surrogates(seed)
    total = dict.fromkeys(made, 0.0)
    for train, held_out in grouped_folds(*groups, seed=seed + 1, folds=INNER_FOLDS, labels=strata(y)):
        for name, make in made.items():
            if learnable(y[train]):
                learnt = kind.learn(make(), x[train], y[train])
                total[name] += kind.judge(y[held_out], kind.foresee(learnt, x[held_out]))["skill"]
    best = max(total, key=total.__getitem__)
    return best, made[best]


def strata(y: np.ndarray) -> np.ndarray | None:
    """Return the classes to spread over folds evenly, or None for values."""
    if y.ndim == 2:
        return y[:, 1]
    return y if y.dtype.kind == "i" else None


def learnable(y: np.ndarray) -> bool:
    """Whether there are rows enough, with what a classifier needs: both classes, or an event."""
    if len(y) < FEWEST_ROWS:
        return False
    classes = strata(y)
    if classes is None:
        return True
    return bool(classes.any()) if y.ndim == 2 else len(np.unique(classes)) == 2
