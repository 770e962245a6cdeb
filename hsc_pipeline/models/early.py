"""Early prediction: what the laboratory sees in the first year says about month 24 and 60."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.models.decision import clustered_auc, decision_curve
from hsc_pipeline.models.early_cases import (
    TARGETS,
    Case,
    events_so_far,
    goals,
    horizons,
    key_of,
    knowledge,
    make_case,
    too_few,
)
from hsc_pipeline.models.early_explain import explain, learning_curve
from hsc_pipeline.models.early_learners import MODELS, HeldOut
from hsc_pipeline.models.early_scores import claims, early_enough, gain_p, score
from hsc_pipeline.models.evaluation import calibration

EXPLAINED = 6.0  # month of knowledge whose models are taken apart
MOST_ROWS = 20_000  # patients by arms that are learnt from and met; more move no digit that is shown


def fit_early(outcomes: pd.DataFrame, visits: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Predict late visits from what is known at infusion and from each early month on.

    Patients, and design points in a sweep, never stand on both sides of a split.  All intervals lie
    between held-out patients, 90 %: they span who is met, not the uncertainty of the catalogue.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES`, with ``point`` in a sweep.
    visits : pandas.DataFrame
        `visits.VISITS` of the same patients, with ``point`` in a sweep.
    seed : int

    Returns
    -------
    dict of str to pandas.DataFrame
        ``early_skill``, ``early_calibration``, ``early_decision``, ``early_enough``, ``early_learning``,
        ``early_importance``, ``early_dependence`` and ``early_skipped``, which holds a reason for each
        target that cannot be learnt.
    """
    from threadpoolctl import threadpool_limits

    outcomes, months = chosen(outcomes, seed), visits["month"].unique()
    tables = {month: knowledge(outcomes, visits, month) for month in horizons(months)}
    found: dict[str, list] = {name: [] for name in COLUMNS}
    with threadpool_limits(1):
        for name, goal in goals(months):
            case = make_case(outcomes, visits, name, goal, seed)
            if isinstance(case, str):
                found["early_skipped"].append({"target": name, "goal_month": goal, "reason": case})
                continue
            early = {month: table for month, table in tables.items() if month < goal}
            rows = assess(case, early, events_so_far(visits, outcomes, case, list(early)))
            for table, own in rows.items():
                found[table] += own
    frames = {name: pd.DataFrame(rows, columns=COLUMNS[name]) for name, rows in found.items()}
    return frames | {"early_skill": judge(frames["early_skill"])}


def chosen(outcomes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the infused in a fixed order, a random part of the patients beyond `MOST_ROWS`.

    Of those it returned it returns all.
    """
    key = key_of(outcomes)
    outcomes = outcomes[outcomes["infused"]].sort_values(key).reset_index(drop=True)
    if len(outcomes) <= MOST_ROWS:
        return outcomes
    persons = outcomes.groupby([name for name in key if name != "arm"], sort=True).ngroup().to_numpy()
    kept = np.random.default_rng(seed).permutation(persons.max() + 1)
    kept = kept[: len(kept) * MOST_ROWS // len(outcomes)]
    return outcomes[np.isin(persons, kept)].reset_index(drop=True)


def assess(
    case: Case, tables: Mapping[float, pd.DataFrame], already: Mapping[float, np.ndarray]
) -> dict[str, list[dict]]:
    """Return the rows of every table on one case.

    Parameters
    ----------
    case : Case
    tables : mapping of float to pandas.DataFrame
        `knowledge` by month, ascending from infusion.
    already : mapping of float to numpy.ndarray of bool
        Of `events_so_far`.
    """
    held = {month: case.hold_out(table) for month, table in tables.items()}
    scored = held[0.0].scored
    patients, y, folds = case.patients[scored], case.y[scored], held[0.0].fold[scored]
    predicted = {month: _parts(one, scored) for month, one in held.items()}
    losses = {month: (y - own["chosen"]) ** 2 for month, own in predicted.items()}
    constant = (y - predicted[0.0]["constant"]) ** 2
    found: dict[str, list[dict]] = {name: [] for name in COLUMNS}
    for month, own in predicted.items():
        who = {**case.who, "known_month": month}
        common = {**who, "rows": len(y), "patients": len(np.unique(patients))}
        for name in MODELS:
            row = common | {"model": name}
            row |= score(y, own[name], own["constant"], patients, folds, case.target.events)
            if name == "chosen":
                row["p_constant"] = gain_p(constant, losses[month], patients)
                if month > 0:
                    row["p_infusion"] = gain_p(losses[0.0], losses[month], patients)
                if month in already:
                    row |= _not_yet(y, own[name], patients, folds, already[month][scored])
            found["early_skill"].append(row)
        if case.target.events:
            found["early_calibration"] += _named(who, calibration(y, own["chosen"], patients))
            risk = own["chosen"] if case.target.act_on else 1 - own["chosen"]
            event = (y > 0) == case.target.act_on
            found["early_decision"] += _named(who, decision_curve(event, risk, patients))
    found["early_enough"] += _named(case.who, early_enough(losses, constant, patients, case.seed))
    month = max(month for month in held if month <= EXPLAINED)
    who = {**case.who, "known_month": month}
    importance, dependence = explain(case, tables[month], held[month])
    found["early_learning"] += _named(who, learning_curve(case, tables[month], held[month]))
    found["early_importance"] += _named(who, importance)
    found["early_dependence"] += _named(who, dependence)
    return found


def _parts(held: HeldOut, scored: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[scored] for name, values in held.predicted.items()}


def _named(who: Mapping[str, object], frame: pd.DataFrame) -> list[dict]:
    return [{**who, **row} for row in frame.to_dict("records")]


def _not_yet(
    y: np.ndarray, predicted: np.ndarray, patients: np.ndarray, folds: np.ndarray, had: np.ndarray
) -> dict[str, float]:
    """Return the share of the events that had come already, and the AUC among those to whom none had."""
    later = ~had
    auc = np.nan
    if not too_few(y[later], patients[later], events=True):
        auc = clustered_auc(y[later] > 0, predicted[later], patients[later], folds[later])[0]
    return {"already_share": float(np.mean(had[y > 0])), "auc_not_yet": auc}


def judge(skill: pd.DataFrame) -> pd.DataFrame:
    """Return `early_skill` with p values adjusted over all targets and months, and what they claim.

    Two questions, each by itself: is the chosen model better than the constant, and is it better than the
    one that knows the infusion only.
    """
    asked, verdicts = skill.assign(events=[TARGETS[name].events for name in skill["target"]]), {}
    for question in ("constant", "infusion"):
        found = claims(asked, f"p_{question}")
        verdicts |= {f"p_{question}": found["p"], f"beats_{question}": found["claimed"]}
    return skill.assign(**verdicts)


def _ended(*names: str) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


_WHO = ["target", "goal_month", "known_month"]
COLUMNS = {
    "early_skill": [
        *(*_WHO, "model", "rows", "patients"),
        *_ended("skill", "mean_squared_error", "auc", "log_loss"),
        *("already_share", "auc_not_yet"),
        *("p_constant", "beats_constant", "p_infusion", "beats_infusion"),
    ],
    "early_calibration": [*_WHO, "bin", "rows", "patients", "predicted", "observed", "low", "high"],
    "early_decision": [
        *_WHO,
        *("threshold", "net_benefit", "low", "high", "act_on_all", "gain", "gain_low", "gain_high"),
    ],
    "early_enough": [
        *_WHO,
        *("skill", "behind", "behind_low", "behind_high"),
        *("within_share", "earliest_share", "earliest", "sure"),
    ],
    "early_learning": [*_WHO, "model", "training_patients", "skill", "skill_low", "skill_high"],
    "early_importance": [*_WHO, "feature", "visits", "skill_loss", "skill_loss_sd"],
    "early_dependence": [*_WHO, "feature", "quantile", "value", "predicted", "least", "most"],
    "early_skipped": ["target", "goal_month", "reason"],
}
