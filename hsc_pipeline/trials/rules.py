"""Tables of stopping rules and of controls from the past."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hsc_pipeline.study_trial import Historical
from hsc_pipeline.trials.cohort import Cohort, Plan
from hsc_pipeline.trials.control import comparisons
from hsc_pipeline.trials.power import TAIL, interval, power
from hsc_pipeline.trials.sizes import PAST, against_past, control_of
from hsc_pipeline.trials.stopping import (
    Course,
    expected_patients,
    futility_course,
    safety_bounds,
    safety_course,
)
from hsc_pipeline.trials.virtual import simulate_rules

HARM_RISES = 1.5  # times the limit: a share that a safety rule should find
STOPPING_COLUMNS = [
    "rule",
    "arm",
    "control",
    "scenario",
    "share",
    "n_arm",
    "n_control",
    "limit",
    "stop",
    "stopped",
    "significant",
    "significant_without",
    "expected_patients",
    "planned_patients",
    "spans",
]
CONTROL_COLUMNS = [
    "arm",
    "control",
    "n_arm",
    "past_patients",
    "share_arm",
    "share_past",
    "method",
    "power",
    "type_one_error",
    "type_one_estimated",
    "type_one_drift",
    "drift",
    "spans",
]
EXACT = "exact at the shares named; no interval"


def planned_sizes(sizes: pd.DataFrame, plan: Plan, arms: list[str]) -> dict[str, int]:
    """Return the patients of each compared arm: those needed, or the largest size tried."""
    compared = sizes[sizes["analysis"] == plan.analysis].drop_duplicates("arm").set_index("arm")["n_arm"]
    most = max(plan.trial.sizes)
    needed = {arm: compared.get(arm, np.nan) for arm in plan.others(arms)}
    return {arm: most if pd.isna(n) else int(n) for arm, n in needed.items()}


def stopping_table(
    found: Mapping[str, Cohort], plan: Plan, planned: Mapping[str, int], seed: int
) -> pd.DataFrame:
    """Return the operating characteristics of the rules for futility and for safety.

    Parameters
    ----------
    found : mapping of str to Cohort
    plan : Plan
    planned : mapping of str to int
        Patients of each compared arm.
    seed : int

    Returns
    -------
    pandas.DataFrame
        `STOPPING_COLUMNS`: a row a rule, scenario and look; ``significant`` at the end counts trials
        that were not stopped.
    """
    control, rows = control_of(plan, found), []
    for place, (arm, n) in enumerate(planned.items()):
        if plan.analysis != "log_rank":
            rows += _futility(found[arm], control, n, plan)
            rng = np.random.default_rng([seed, 3, place])
            rows.append(_both(found[arm], control, n, plan, rng))
    most = max(planned.values(), default=max(plan.trial.sizes))
    for cohort in found.values():
        rows += _safety(cohort, planned.get(cohort.arm, most), plan)
    return pd.DataFrame(rows, columns=STOPPING_COLUMNS)


def _futility(arm: Cohort, control: Cohort | None, n: int, plan: Plan) -> list[dict]:
    past = plan.past_share if control is None else control.share
    rows = []
    for scenario, share in (("simulated shares", arm.share), ("no difference", past)):
        known = share * plan.known, None if control is None else past * plan.known
        course = futility_course(plan, n, *known)
        without = float(power(plan, n, share, None if control is None else past)[0])
        same = _row("futility", arm.arm, control, scenario, share)
        same |= {"limit": plan.trial.futility.limit, "significant_without": without}
        rows += [same | _at_look(course, look) for look in range(len(course.sizes))]
    return rows


def _row(rule: str, arm: str, control: Cohort | None, scenario: str, share: float) -> dict:
    return {
        "rule": rule,
        "arm": arm,
        "control": PAST if control is None else control.arm,
        "scenario": scenario,
        "share": share,
        "spans": EXACT,
    }


def _at_look(course: Course, look: int) -> dict:
    last = look == len(course.sizes) - 1
    return {
        "n_arm": course.sizes[look][0],
        "n_control": course.sizes[look][1],
        "stop": 0.0 if last else course.stops[look],
        "stopped": course.stops[: len(course.stops) - 1 if last else look + 1].sum(),
        "significant": course.significant if last else np.nan,
        "expected_patients": course.expected,
        "planned_patients": sum(course.sizes[-1]),
    }


def _both(arm: Cohort, control: Cohort | None, n: int, plan: Plan, rng: np.random.Generator) -> dict:
    """Return both rules together, simulated, since endpoint and harm hang together within patients."""
    stopped, rejected, patients = simulate_rules(arm, control, n, plan, plan.trial.replicates, rng)
    low, high = interval(int(rejected.sum()), len(rejected))
    spans = f"simulated; Monte Carlo between virtual trials, 90 %: significant {low:.3f} to {high:.3f}"
    return _row("both", arm.arm, control, "simulated shares", arm.share) | {
        "n_arm": n,
        "n_control": plan.controls(n),
        "stopped": stopped.mean(),
        "significant": rejected.mean(),
        "expected_patients": patients.mean(),
        "planned_patients": n + plan.controls(n),
        "spans": spans,
    }


def _safety(cohort: Cohort, n: int, plan: Plan) -> list[dict]:
    """Return the rule for safety in one arm, a row where the number of events that stops changes."""
    rule = plan.trial.safety
    bounds = safety_bounds(rule, n)
    harmed = int(cohort.events[rule.event].sum())
    _, most = interval(harmed, cohort.n)
    scenarios = {
        "simulated share": harmed / cohort.n,
        f"its upper {1 - 2 * TAIL:.0%} limit".replace("%", " %"): most,
        "just the limit": rule.limit,
        f"{HARM_RISES:g} times the limit": min(1.0, HARM_RISES * rule.limit),
    }
    possible = np.flatnonzero(bounds <= np.arange(1, n + 1))
    change = [i for i in possible if i == possible[0] or bounds[i] != bounds[i - 1]]
    looks = sorted({*map(int, change), n - 1})
    rows = []
    for scenario, share in scenarios.items():
        stops = safety_course(bounds, share)
        upto = np.cumsum(stops)
        before = np.concatenate([[0.0], upto[looks[:-1]]])
        for look, earlier in zip(looks, before, strict=True):
            rows.append(
                _row(f"safety: {rule.event}", cohort.arm, None, scenario, share)
                | {
                    "control": "",
                    "n_arm": look + 1,
                    "limit": bounds[look],
                    "stop": upto[look] - earlier,
                    "stopped": upto[look],
                    "expected_patients": expected_patients(stops),
                    "planned_patients": n,
                }
            )
    return rows


def control_table(found: Mapping[str, Cohort], plan: Plan) -> pd.DataFrame:
    """Return what a control from the past would cost and save, at each size.

    Without a past in the study file, the worse of two arms plays the past, of whom as many patients are
    known as are treated.

    Returns
    -------
    pandas.DataFrame
        `CONTROL_COLUMNS`.
    """
    past = plan.trial.historical
    drift = (past or Historical(share=0.5)).drift
    control, rows = control_of(plan, found), []
    for arm in plan.others(list(found)):
        better, share, worse, share_past = against_past(found[arm], control, plan)
        for n in plan.trial.sizes:
            patients = past.patients if past and past.patients else n
            same = {
                "arm": better,
                "control": worse,
                "n_arm": n,
                "past_patients": patients,
                "share_arm": share,
                "share_past": share_past,
                "drift": drift,
                "spans": EXACT,
            }
            rows += [same | row for row in comparisons(plan, n, share_past, share, patients, drift)]
    return pd.DataFrame(rows, columns=CONTROL_COLUMNS)
