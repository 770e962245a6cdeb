"""Surrogates: patient and design -> each outcome, judged where nobody was learnt from, with baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hsc_pipeline.models.conformal import (
    GUARANTEED,
    NOMINAL,
    Calibrated,
    calibrate,
    covers,
    interval,
    strangeness,
)
from hsc_pipeline.models.estimators import Kind, baselines, kind_of, learnable, search, strata
from hsc_pipeline.models.evaluation import (
    REPEATS,
    calibration,
    compare_to_baseline,
    grouped_folds,
    share_interval,
)
from hsc_pipeline.models.features import Swept, design_matrix, names
from hsc_pipeline.models.targets import TARGETS, observed, possible, too_few, visit_grid

FEWEST_PATIENTS = 10  # of the study
UNTOUCHED = 5  # one patient in so many, and one design point, is kept for the last test
MOST_ROWS = 4000  # learnt from, and as many tested; more change little and cost hours
PERMUTATIONS = 5

COLUMNS = {
    "performance": (
        *("target", "kind", "model", "fold", "skill", "rmse", "brier", "log_loss", "auc"),
        *("integrated_brier", "concordance"),
    ),
    "repeats": ("target", "model", "fold", "skill"),
    "test_set": (
        *("target", "kind", "model", "kept", "rows", "patients", "skill", "rmse", "brier", "log_loss"),
        *("auc", "integrated_brier", "concordance"),
    ),
    "importance": ("target", "feature", "skill_loss", "skill_loss_sd"),
    "predictions": ("arm", "patient", "target", "model", "observed", "predicted"),
    "calibration": (
        *("target", "kind", "model", "bin", "predicted", "observed", "low", "high", "rows", "patients"),
    ),
    "intervals": (
        *("target", "kind", "model", "nominal", "guaranteed", "rows", "patients", "coverage", "low", "high"),
        "width",
    ),
    "skipped": ("target", "reason"),
}


@dataclass(frozen=True)
class Part:
    """Rows of one target.

    Attributes
    ----------
    x : numpy.ndarray, shape (rows, features)
    y : numpy.ndarray
        Of `targets.observed`.
    groups : list of numpy.ndarray
        Patient, and design point where there is a sweep, of each row.
    keys : pandas.DataFrame
        arm and patient.
    """

    x: np.ndarray
    y: np.ndarray
    groups: list[np.ndarray]
    keys: pd.DataFrame

    def at(self, places: np.ndarray) -> "Part":
        """Return some of the rows."""
        groups = [group[places] for group in self.groups]
        return Part(self.x[places], self.y[places], groups, self.keys.iloc[places])


@dataclass
class Validated:
    """What cross-validation left of one target."""

    target: str
    kind: Kind
    seen: Part
    untouched: Part
    models: dict[str, list] = field(default_factory=dict)  # by name, one a fold
    foreseen: dict[str, list] = field(default_factory=dict)  # of the held-out rows of each fold
    held_out: list[np.ndarray] = field(default_factory=list)  # their places
    performance: list[dict] = field(default_factory=list)
    repeats: list[dict] = field(default_factory=list)  # of the baselines in folds drawn again
    losses: list[np.ndarray] = field(default_factory=list)  # features x permutations, one a fold


@dataclass(frozen=True)
class Learnt:
    """Tables of the evaluation, and the models that are kept.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        With the `COLUMNS`.
    kept : dict of str to dict
        By target: what `kept.to_bytes` writes.
    untouched : int
        Patients that nothing but the last test has seen.
    """

    tables: dict[str, pd.DataFrame]
    kept: dict[str, dict[str, Any]]
    untouched: int


def fit_surrogates(outcomes: pd.DataFrame, seed: int, **more: Any) -> dict[str, pd.DataFrame]:
    """Return the tables of `learn`."""
    return learn(outcomes, seed, **more).tables


def learn(
    outcomes: pd.DataFrame,
    seed: int,
    months: Sequence[float] | None = None,
    swept: Mapping[str, Swept] | None = None,
) -> Learnt:
    """Foresee the outcomes of the infused from what is known at infusion, with honest evaluation.

    One patient in five, and one design point in five where there is a sweep, is put aside before
    anything is learnt.  On the others folds are made of patients and points, candidates are chosen in
    folds within each training part, and baselines stand beside.  What is kept is learnt again from all
    but those put aside, and tested on them once.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES`, or `features.join_sweep` of it and a sweep.
    seed : int
    months : sequence of float, optional
        Visits of the study; the months in the outcomes if not given.
    swept : mapping of str to Swept, optional
        Columns of `outcomes` that are features beside `features.FEATURES`.

    Returns
    -------
    Learnt
        Its tables are ``performance`` (scores by target, model and fold), ``repeats`` (skill of the baselines
        in folds drawn anew), ``test_set`` (the same in the
        patients put aside), ``importance`` (skill lost by the surrogate when a feature is shuffled in
        held-out rows: mean and sd over folds and shuffles), ``predictions`` (of held-out rows; for a
        time, the chance of the event by the last visit), ``calibration``, ``intervals`` (nominal and
        achieved coverage) and ``skipped`` (what was not learnt, and why).  All are empty where fewer
        than ten patients leave nothing to learn from.
    """
    import sklearn.ensemble  # noqa: F401  its threads are limited only once they are there
    from threadpoolctl import threadpool_limits

    swept = swept or {}
    outcomes = outcomes[outcomes["infused"].to_numpy(bool)].reset_index(drop=True)
    if outcomes["patient"].nunique() < FEWEST_PATIENTS:
        return Learnt(_tables(), {}, 0)
    grid = _grid(outcomes, months)
    skipped, validated = [], []
    with threadpool_limits(1):
        for target in TARGETS:
            found = _learn_target(outcomes, target, grid, swept, seed)
            if isinstance(found, str):
                skipped.append({"target": target, "reason": found})
            else:
                validated.append(found)
        performance = pd.DataFrame([row for found in validated for row in found.performance])
        if not validated:
            return Learnt(_tables(skipped=skipped), {}, 0)
        repeats = pd.DataFrame([row for found in validated for row in found.repeats])
        compared = compare_to_baseline(performance, repeats).set_index("target")["kept"]
        ends = [_finish(found, compared[found.target], grid, names(swept), seed) for found in validated]
    tables = _tables(
        skipped=skipped,
        performance=performance,
        repeats=repeats,
        importance=[row for found in validated for row in _importance(found, names(swept))],
        predictions=pd.concat([_predictions(found) for found in validated]),
        calibration=_joined([_calibration(found) for found in validated if found.kind.chances]),
        test_set=[row for end in ends for row in end["test_set"]],
        intervals=[end["intervals"] for end in ends],
    )
    untouched = max(len(np.unique(found.untouched.groups[0])) for found in validated)
    kept = {found.target: end["kept"] for found, end in zip(validated, ends, strict=True)}
    return Learnt(tables, kept, untouched)


def _learn_target(
    outcomes: pd.DataFrame, target: str, grid: np.ndarray, swept: Mapping[str, Swept], seed: int
) -> Validated | str:
    """Return a target's cross-validation, or why there is none."""
    parts = _parts(outcomes, target, grid, swept, seed)
    if isinstance(parts, str):
        return parts
    seen, untouched = parts
    reason = too_few(TARGETS[target].kind, seen.y, seen.groups[0])
    return reason or _validate(target, seen, untouched, grid, names(swept), seed)


def _grid(outcomes: pd.DataFrame, months: Sequence[float] | None) -> np.ndarray:
    if months is None:
        times = [name for name, target in TARGETS.items() if target.kind == "time_to_event"]
        found = [outcomes[name].dropna() for name in (*times, "landmark_month") if name in outcomes]
        months = pd.concat(found).to_numpy(float) if found else [1.0]
    return visit_grid(np.asarray(months, float))


def _parts(
    outcomes: pd.DataFrame, target: str, grid: np.ndarray, swept: Mapping[str, Swept], seed: int
) -> tuple[Part, Part] | str:
    """Return the rows to learn from and those put aside, or why there are none."""
    if target not in outcomes:
        return "it is not in the table of outcomes"
    known = outcomes
    if TARGETS[target].kind == "regression":
        known = outcomes[outcomes[target].notna().to_numpy()]
    x = design_matrix(known, swept).to_numpy()
    groups = [known["patient"].to_numpy()]
    if "point" in known and known["point"].str.startswith("point ").any():
        groups.append(known["point"].to_numpy(str))
    y = observed(TARGETS[target], known[target], grid)
    part = Part(x, y, groups, known[["arm", "patient"]])
    if len(np.unique(groups[0])) < FEWEST_PATIENTS:
        return f"known in fewer than {FEWEST_PATIENTS} patients"
    seen, aside = next(grouped_folds(*groups, seed=seed, folds=UNTOUCHED))
    return part.at(_some(seen, seed)), part.at(_some(aside, seed))


def _some(places: np.ndarray, seed: int) -> np.ndarray:
    if len(places) <= MOST_ROWS:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, MOST_ROWS, replace=False))


def _validate(
    target: str, seen: Part, untouched: Part, grid: np.ndarray, features: list[str], seed: int
) -> Validated | str:
    """Return what every model foresees of rows held out, or why a fold has nothing to learn."""
    kind_name = TARGETS[target].kind
    kind = kind_of(kind_name, grid)
    found = Validated(target, kind, seen, untouched)
    folds = list(grouped_folds(*seen.groups, seed=seed, labels=strata(seen.y)))
    if len(folds) < 2 or not all(len(out) and learnable(seen.y[train]) for train, out in folds):
        return "too few rows, or it is too rare, to learn from in every fold"
    for fold, (train, out) in enumerate(folds):
        part, held_out = seen.at(train), seen.at(out)
        _, surrogate = search(kind, part.x, part.y, part.groups, seed)
        found.held_out.append(out)
        for name, make in (baselines(kind, features) | {"surrogate": surrogate}).items():
            learnt = kind.learn(make(), part.x, part.y)
            foreseen = kind.foresee(learnt, held_out.x)
            found.models.setdefault(name, []).append(learnt)
            found.foreseen.setdefault(name, []).append(foreseen)
            scores = kind.judge(held_out.y, foreseen)
            found.performance.append(
                {"target": target, "kind": kind_name, "model": name, "fold": fold, **scores}
            )
        found.losses.append(_losses(kind, found.models["surrogate"][-1], held_out, seed))
    found.repeats.extend(_repeat_baselines(found, features, seed))
    return found


def _repeat_baselines(found: Validated, features: list[str], seed: int) -> Iterator[dict]:
    """Yield the skill of the baselines in folds drawn anew, so that what they foresee is told surely."""
    seen, fold = found.seen, 0
    for repeat in range(REPEATS):
        folds = grouped_folds(*seen.groups, seed=seed + 1 + repeat, labels=strata(seen.y))
        for train, out in folds:
            part, held_out = seen.at(train), seen.at(out)
            if len(out) and learnable(part.y):
                for name, make in baselines(found.kind, features).items():
                    learnt = found.kind.learn(make(), part.x, part.y)
                    skill = found.kind.judge(held_out.y, found.kind.foresee(learnt, held_out.x))["skill"]
                    yield {"target": found.target, "model": name, "fold": fold, "skill": skill}
            fold += 1


def _losses(kind: Kind, learnt: Any, held_out: Part, seed: int) -> np.ndarray:
    """Return the skill lost when each feature is shuffled, shape (features, permutations)."""
    rng = np.random.default_rng(seed)
    whole = kind.judge(held_out.y, kind.foresee(learnt, held_out.x))["skill"]
    losses = np.empty((held_out.x.shape[1], PERMUTATIONS))
    for feature, again in np.ndindex(losses.shape):
        shuffled = held_out.x.copy()
        shuffled[:, feature] = rng.permutation(shuffled[:, feature])
        losses[feature, again] = whole - kind.judge(held_out.y, kind.foresee(learnt, shuffled))["skill"]
    return losses


def _importance(found: Validated, features: list[str]) -> list[dict]:
    losses = np.concatenate(found.losses, axis=1)
    return [
        {"target": found.target, "feature": name, "skill_loss": loss.mean(), "skill_loss_sd": loss.std()}
        for name, loss in zip(features, losses, strict=True)
    ]


def _told(target: str, y: np.ndarray) -> np.ndarray:
    """Return values, chances or chances by the last visit, of what was foreseen or observed."""
    kind = TARGETS[target].kind
    if kind == "time_to_event":
        return y[:, 1].astype(float) if y.dtype.kind == "i" else 1 - y[:, -1]
    return np.asarray(TARGETS[target].told(y), float)


def _predictions(found: Validated) -> pd.DataFrame:
    out = np.concatenate(found.held_out)
    observed_there = _told(found.target, found.seen.y[out])
    rows = found.seen.keys.iloc[out]
    return pd.concat(
        [
            rows.assign(
                target=found.target,
                model=name,
                observed=observed_there,
                predicted=_told(found.target, np.concatenate(foreseen)),
            )
            for name, foreseen in found.foreseen.items()
        ]
    )


def _calibration(found: Validated) -> pd.DataFrame:
    kind = TARGETS[found.target].kind
    out = np.concatenate(found.held_out)
    happened, patients = _told(found.target, found.seen.y[out]), found.seen.groups[0][out]
    return pd.concat(
        [
            calibration(happened, _told(found.target, np.concatenate(found.foreseen[name])), patients).assign(
                target=found.target, kind=kind, model=name
            )
            for name in ("linear", "surrogate")
        ]
    )


def _finish(found: Validated, kept: str, grid: np.ndarray, features: list[str], seed: int) -> dict:
    """Learn all models again from every row but those put aside, and test them there."""
    kind, seen, aside, target = found.kind, found.seen, found.untouched, found.target
    what = {"target": target, "kind": TARGETS[target].kind}
    size = {"rows": len(aside.x), "patients": len(np.unique(aside.groups[0]))}
    chosen, surrogate = search(kind, seen.x, seen.y, seen.groups, seed)
    test_set, model = [], None
    for name, make in (baselines(kind, features) | {"surrogate": surrogate}).items():
        learnt = kind.learn(make(), seen.x, seen.y)
        scores = kind.judge(aside.y, kind.foresee(learnt, aside.x))
        test_set.append({**what, "model": name, "kept": name == kept, **size, **scores})
        model = learnt if name == kept else model
    calibrated = _calibrated(found, kept)
    entry = {
        **what,
        "model": model,
        "folds": found.models[kept],
        "fold": calibrated.fold,
        "score": calibrated.score,
        "weight": calibrated.weight,
        "name": kept,
        "settings": chosen if kept == "surrogate" else kept,
        "months": grid,
        "least": seen.x.min(axis=0),
        "most": seen.x.max(axis=0),
        "rows": len(seen.x),
        "patients": len(np.unique(seen.groups[0])),
    }
    low, high = intervals_of(entry, aside.x)
    covered = covers(what["kind"], aside.y, low, high, len(grid))
    by_patient = pd.Series(covered.astype(float)).groupby(aside.groups[0]).mean()
    least, most = share_interval(by_patient.mean(), len(by_patient))
    told_low, told_high = bounds(target, low, high, grid)
    spread = told_high - told_low
    intervals = {
        **{**what, "model": kept, "nominal": NOMINAL, "guaranteed": GUARANTEED, **size},
        **{"coverage": by_patient.mean(), "low": least, "high": most},
        "width": float(np.mean(spread) if what["kind"] == "classification" else np.median(spread)),
    }
    return {"test_set": test_set, "intervals": intervals, "kept": entry}


def _calibrated(found: Validated, model: str) -> Calibrated:
    out = np.concatenate(found.held_out)
    fold = np.repeat(np.arange(len(found.held_out)), [len(places) for places in found.held_out])
    foreseen = np.concatenate(found.foreseen[model])
    score = strangeness(TARGETS[found.target].kind, found.seen.y[out], foreseen)
    return calibrate(fold, score, found.seen.groups[0][out])


def intervals_of(entry: Mapping[str, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the conformal interval of rows by a kept model, on the scale that was learnt."""
    kind = kind_of(entry["kind"], entry["months"])
    foresee = [lambda part, learnt=learnt: kind.foresee(learnt, part) for learnt in entry["folds"]]
    calibrated = Calibrated(entry["fold"], entry["score"], entry["weight"])
    return interval(entry["kind"], calibrated, foresee, x)


def bounds(target: str, low: np.ndarray, high: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an interval in the outcome's own unit, within what is possible; no event is at infinity."""
    if TARGETS[target].kind == "time_to_event":
        edges = np.concatenate([[0.0], grid, [np.inf]])
        return edges[low.astype(int)], edges[high.astype(int) + 1]
    least, most = possible(target) if TARGETS[target].kind == "regression" else (0.0, 1.0)
    told = TARGETS[target].told
    return np.clip(told(low), least, most), np.clip(told(high), least, most)


def foresee_of(entry: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """Return possible values, chances, or chances of the event by the last visit, by a kept model."""
    kind = kind_of(entry["kind"], entry["months"])
    told = _told(entry["target"], kind.foresee(entry["model"], x))
    return np.clip(told, *possible(entry["target"])) if entry["kind"] == "regression" else told


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame | list:
    return pd.concat(frames) if frames else []


def _tables(**found: Any) -> dict[str, pd.DataFrame]:
    frames = {}
    for name, columns in COLUMNS.items():
        rows = found.get(name, [])
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        frames[name] = frame.reindex(columns=list(columns)).reset_index(drop=True)
    return frames
