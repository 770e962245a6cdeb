"""Trials: how many patients, which dose, when to stop, asked of the simulated outcomes.

Nothing heavy is imported here: scipy, statsmodels and scikit-learn are imported where they are used.
"""

from collections.abc import Collection, Mapping

import pandas as pd

from hsc_pipeline.study_trial import Trial, analysis_of
from hsc_pipeline.trials.cohort import Cohort, Plan, catalogue_tables, cohorts
from hsc_pipeline.trials.design_search import (
    CHOSEN_COLUMNS,
    FEWEST_POINTS,
    SEARCH_COLUMNS,
    designs_of_sweep,
    search,
)
from hsc_pipeline.trials.dose import COLUMNS as DOSE_COLUMNS
from hsc_pipeline.trials.dose import designs_of_arms, dose_table
from hsc_pipeline.trials.incidence import incidence_table
from hsc_pipeline.trials.rules import control_table, planned_sizes, stopping_table
from hsc_pipeline.trials.sizes import power_table, size_table
from hsc_pipeline.trials.surface import CALIBRATION_COLUMNS, SKILL_COLUMNS, Designs, judge

LOST = "followup.lost_per_year"
MOST_ARMS = 50  # compared: the first of the study file, and the control

__all__ = ["plan_of", "run_trials"]


def plan_of(study: Mapping, landmark_month: float) -> Plan:
    """Return the plan of a study's trial, filled in.

    Parameters
    ----------
    study : mapping
        Content of ``study.yaml``.
    landmark_month : float
        Visit at which yes or no is read.
    """
    trial = Trial.model_validate(study.get("trial") or {})
    loss = study["values"][LOST]["value"] if trial.loss_per_year is None else trial.loss_per_year
    return Plan(
        trial,
        trial.control or study["arms"][0]["name"],
        analysis_of(trial),
        float(trial.by_month or landmark_month),
        float(study["visits_months"][-1]),
        float(loss),
        not study["independent_arms"],
    )


def run_trials(
    study: Mapping,
    outcomes: pd.DataFrame,
    sweep: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    uncertainty: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Answer the trial questions of a study.

    Parameters
    ----------
    study : mapping
        Content of ``study.yaml``.
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES` of all arms.
    sweep : (points, outcomes), optional
        `points.POINTS` and `points.POINT_OUTCOMES` of the sweep.
    uncertainty : pandas.DataFrame, optional
        `points.POINT_OUTCOMES` of draws of the catalogue's uncertain values.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``power``, ``sample_size``, ``dose``, ``stopping``, ``control``, ``incidence``, ``search``,
        ``chosen``, ``search_skill`` and ``search_calibration``; without rows where a question does not
        arise.
    """
    from threadpoolctl import threadpool_limits

    plan, seed = plan_of(study, float(outcomes["landmark_month"].max())), int(study["seed"])
    arms = [arm["name"] for arm in study["arms"]]
    outcomes = outcomes[outcomes["arm"].isin({*arms[:MOST_ARMS], plan.control})]
    found = cohorts(outcomes, plan)
    with threadpool_limits(1):
        drawn = uncertainty is not None and len(uncertainty)
        uncertain = catalogue_tables(uncertainty, plan) if drawn else {}
        powers = power_table(found, plan, seed, uncertain)
        sizes = size_table(found, plan, seed, powers)
        planned = planned_sizes(sizes, plan, list(found))
        return {
            "power": powers,
            "sample_size": sizes,
            "stopping": stopping_table(found, plan, planned, seed),
            "control": control_table(found, plan),
            "incidence": incidence_table(outcomes, study["visits_months"], plan.trial.endpoint),
            **_designs(study, found, plan, sweep, seed),
        }


def _designs(
    study: Mapping, found: Mapping[str, Cohort], plan: Plan, sweep: tuple | None, seed: int
) -> dict[str, pd.DataFrame]:
    """Return dose curves, of the sweep or else of the arms, and the design search."""
    swept: list[Designs] = []
    if sweep is not None:
        points, outcomes = sweep
        swept = designs_of_sweep(outcomes, points, study["sweep"]["over"], plan)
    of_arms = [] if swept else list(designs_of_arms(found, _values(study, found), plan.same_patients))
    parts: dict[str, list] = {
        "dose": [dose_table(designs, plan.trial.target, seed) for designs in (*swept, *of_arms)],
        "search": [],
        "chosen": [],
        "search_skill": [],
        "search_calibration": [],
    }
    for designs in swept:
        if designs.rows["point"].nunique() < FEWEST_POINTS:
            continue
        skill, calibrated = judge(designs, seed)
        grid, chosen = search(designs, skill, plan, _past(designs.arm, found, plan), seed)
        made = {"search": grid, "chosen": chosen, "search_skill": skill, "search_calibration": calibrated}
        for name, table in made.items():
            parts[name].append(table)
    columns = {
        "dose": DOSE_COLUMNS,
        "search": SEARCH_COLUMNS,
        "chosen": CHOSEN_COLUMNS,
        "search_skill": SKILL_COLUMNS,
        "search_calibration": CALIBRATION_COLUMNS,
    }
    return {
        name: pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns[name])
        for name, tables in parts.items()
    }


def _past(arm: str, found: Mapping[str, Cohort], plan: Plan) -> float | None:
    """Return the share that a trial of the chosen design is held against.

    That of the past, of the control, or of the worst other arm where the sweep is about the control.
    """
    if plan.past_share is not None:
        return plan.past_share
    if plan.control != arm:
        return found[plan.control].share
    return min((cohort.share for other, cohort in found.items() if other != arm), default=None)


def _values(study: Mapping, arms: Collection[str]) -> dict[str, dict]:
    """Return every value of these arms, and what else each is given, as text."""
    shared = {name: value["value"] for name, value in study["values"].items()}
    other = ("product", "product_data", "events")
    return {
        arm["name"]: {**shared, **arm["set"], **{key: repr(arm.get(key)) for key in other}}
        for arm in study["arms"]
        if arm["name"] in arms
    }
