"""Tables of power and of the number of patients."""

from collections.abc import Mapping
from math import ceil

import numpy as np
import pandas as pd

from hsc_pipeline.trials.cohort import (
    JEFFREYS,
    Cohort,
    Plan,
    catalogue_draws,
    one_share_draws,
    share_draws,
)
from hsc_pipeline.trials.power import (
    LEVEL,
    TAIL,
    interval,
    normal_size,
    past_known,
    power,
    sizes_of_draws,
    smallest_size,
)
from hsc_pipeline.trials.single_arm import one_stage, two_stage
from hsc_pipeline.trials.virtual import simulate_trials

DRAWS = 400  # of the shares that finite cohorts allow
HALF_WIDTH = 0.1  # of the interval of one arm's share
PAST = "the past"
POWER_COLUMNS = [
    "arm",
    "control",
    "endpoint",
    "analysis",
    "n_arm",
    "n_control",
    "share_arm",
    "share_control",
    "power",
    "low",
    "high",
    "exact_power",
    "assurance",
    "power_p5",
    "power_p95",
    "assurance_catalogue",
    "type_one_error",
    "type_one_low",
    "type_one_high",
    "evaluable",
    "months",
    "replicates",
    "spans",
]
POWER_SPANS = (
    "low and high: Monte Carlo between virtual trials, 90 %; power_p5 and power_p95, and the mean assurance: "
    "shares that cohorts of so few virtual patients allow; assurance_catalogue: the catalogue's ranges"
)
SIZE_COLUMNS = [
    "arm",
    "control",
    "design",
    "analysis",
    "share_arm",
    "share_control",
    "n_arm",
    "n_control",
    "n_low",
    "n_high",
    "feasible_share",
    "n_normal",
    "largest_tried",
    "power",
    "type_one_error",
    "first_stage",
    "first_stage_limit",
    "least_successes",
    "expected_patients",
    "early_stop",
    "spans",
]
SIZE_SPANS = "shares that cohorts of so few virtual patients allow, 90 %; empty: more than the largest tried"


def control_of(plan: Plan, found: Mapping[str, Cohort]) -> Cohort | None:
    """Return the control's cohort, or nothing against the past."""
    return None if plan.past_share is not None else found[plan.control]


def power_table(
    found: Mapping[str, Cohort], plan: Plan, seed: int, uncertain: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return power and assurance of each comparison at each size.

    Parameters
    ----------
    found : mapping of str to Cohort
    plan : Plan
    seed : int
    uncertain : mapping of str to numpy.ndarray of float
        Of `cohort.catalogue_tables`; empty where the catalogue was not drawn from.

    Returns
    -------
    pandas.DataFrame
        `POWER_COLUMNS`.
    """
    rows = []
    for place, arm in enumerate(plan.others(list(found))):
        for n in plan.trial.sizes:
            rng = np.random.default_rng([seed, 1, place, n])
            rows.append(_power_row(found[arm], control_of(plan, found), n, plan, rng, uncertain))
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def _power_row(
    arm: Cohort,
    control: Cohort | None,
    n: int,
    plan: Plan,
    rng: np.random.Generator,
    uncertain: Mapping[str, np.ndarray],
) -> dict:
    replicates = plan.trial.replicates
    trials = simulate_trials(arm, control, n, plan, replicates, rng)
    same = null_cohort(plan, arm) if control is None else control
    null = simulate_trials(same, control, n, plan, replicates, rng)
    low, high = interval(int(trials.rejected.sum()), replicates)
    type_one_low, type_one_high = interval(int(null.rejected.sum()), replicates)
    return {
        "arm": arm.arm,
        "control": PAST if control is None else control.arm,
        "endpoint": plan.trial.endpoint,
        "analysis": plan.analysis,
        "n_arm": n,
        "n_control": plan.controls(n),
        "share_arm": arm.share,
        "share_control": plan.past_share if control is None else control.share,
        "power": trials.rejected.mean(),
        "low": low,
        "high": high,
        **_assured(arm, control, n, plan, rng, uncertain),
        "type_one_error": null.rejected.mean(),
        "type_one_low": type_one_low,
        "type_one_high": type_one_high,
        "evaluable": trials.evaluable.mean(),
        "months": np.median(trials.months),
        "replicates": replicates,
        "spans": POWER_SPANS,
    }


def null_cohort(plan: Plan, arm: Cohort, patients: int = 1000) -> Cohort:
    """Return patients as the arm's, of whom the past's share reaches the endpoint."""
    yes = np.arange(patients) < round(patients * plan.past_share)
    return Cohort(arm.arm, np.arange(patients), yes, np.full(patients, np.inf), np.resize(arm.wait, patients))


def _assured(
    arm: Cohort,
    control: Cohort | None,
    n: int,
    plan: Plan,
    rng: np.random.Generator,
    uncertain: Mapping[str, np.ndarray],
) -> dict:
    """Return power without Monte-Carlo error, and averaged over what the shares may be."""
    names = ("exact_power", "assurance", "power_p5", "power_p95", "assurance_catalogue")
    if plan.analysis == "log_rank":
        trials = simulate_trials(arm, control, n, plan, plan.trial.replicates, rng, uncertain=True)
        return dict.fromkeys(names, np.nan) | {"assurance": trials.rejected.mean()}
    exact = power(plan, n, arm.share, None if control is None else control.share)[0]
    drawn = power(plan, n, *draws_of(arm, control, plan, rng))
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    catalogue = np.nan
    if uncertain:
        tables = uncertain[arm.arm], None if control is None else uncertain[control.arm]
        catalogue = power(plan, n, *catalogue_draws(*tables, DRAWS, rng)).mean()
    return dict(zip(names, (exact, drawn.mean(), low, high, catalogue), strict=True))


def draws_of(
    arm: Cohort, control: Cohort | None, plan: Plan, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw what the shares of the arm and the control may be."""
    if control is None:
        return one_share_draws(arm, DRAWS, rng), None
    both = share_draws(arm, control, DRAWS, rng, plan.same_patients)
    return both[:, 0], both[:, 1]


def size_table(found: Mapping[str, Cohort], plan: Plan, seed: int, powers: pd.DataFrame) -> pd.DataFrame:
    """Return the fewest patients of each comparison, of one-arm designs, and for a wanted precision.

    Parameters
    ----------
    found : mapping of str to Cohort
    plan : Plan
    seed : int
    powers : pandas.DataFrame
        Of `power_table`.

    Returns
    -------
    pandas.DataFrame
        `SIZE_COLUMNS`.
    """
    control, rows = control_of(plan, found), []
    for place, arm in enumerate(plan.others(list(found))):
        rng = np.random.default_rng([seed, 2, place])
        rows.append(_compared(found[arm], control, plan, rng, powers[powers["arm"] == arm]))
        rows += _one_arm(found[arm], control, plan)
    rows += [_precise(cohort) for cohort in found.values()]
    table = pd.DataFrame(rows, columns=SIZE_COLUMNS)
    return table.assign(largest_tried=max(plan.trial.sizes))


def _compared(
    arm: Cohort, control: Cohort | None, plan: Plan, rng: np.random.Generator, powers: pd.DataFrame
) -> dict:
    share = plan.past_share if control is None else control.share
    row = {
        "arm": arm.arm,
        "control": PAST if control is None else control.arm,
        "design": "one arm against the past" if control is None else "arms beside each other",
        "analysis": plan.analysis,
        "share_arm": arm.share,
        "share_control": share,
        "spans": SIZE_SPANS,
    }
    if plan.analysis == "log_rank":
        return row | _from_simulated(powers, plan)
    n, reached = smallest_size(plan, arm.share, share)
    drawn = sizes_of_draws(plan, *draws_of(arm, control, plan, rng))
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], method="inverted_cdf")
    null = power(plan, n or max(plan.trial.sizes), share, share)[0]
    return row | {
        "n_arm": n,
        "n_control": None if n is None else plan.controls(n),
        "n_low": low if np.isfinite(low) else None,
        "n_high": high if np.isfinite(high) else None,
        "feasible_share": np.isfinite(drawn).mean(),
        "n_normal": _finite(normal_size(plan, arm.share, share)),
        "power": reached,
        "type_one_error": null,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _from_simulated(powers: pd.DataFrame, plan: Plan) -> dict:
    """Return the first size tried whose simulated power, and its interval's ends, are enough."""
    wanted = plan.trial.power
    first = {name: powers.loc[powers[name] >= wanted, "n_arm"].min() for name in ("power", "low", "high")}
    n = None if np.isnan(first["power"]) else int(first["power"])
    at = powers[powers["n_arm"] == (n or powers["n_arm"].max())].iloc[0]
    return {
        "n_arm": n,
        "n_control": None if n is None else plan.controls(n),
        "n_low": first["high"],
        "n_high": first["low"],
        "power": at["power"],
        "type_one_error": at["type_one_error"],
        "spans": "Monte Carlo between virtual trials, 90 %, among the sizes tried; empty: more than they",
    }


def against_past(arm: Cohort, control: Cohort | None, plan: Plan) -> tuple[str, float, str, float]:
    """Return who is held against whose share by a trial of one arm: the better against the worse."""
    if control is None:
        return arm.arm, arm.share, PAST, plan.past_share
    better, worse = (arm, control) if arm.share >= control.share else (control, arm)
    return better.arm, better.share, worse.arm, worse.share


def _one_arm(arm: Cohort, control: Cohort | None, plan: Plan) -> list[dict]:
    better, share, worse, past = against_past(arm, control, plan)
    known, past_seen = share * plan.known, past_known(plan, past)
    level, wanted = plan.trial.alpha / plan.trial.sides, plan.trial.power
    row = {
        "arm": better,
        "control": worse,
        "analysis": "exact_binomial",
        "share_arm": share,
        "share_control": past,
        "spans": "exact at the simulated shares, the share of the control known from the past",
    }
    rows = []
    single = one_stage(past_seen, known, level, wanted, max(plan.trial.sizes))
    if single is not None:
        n, least = single
        found = {"design": "one stage", "n_arm": n, "least_successes": least}
        rows.append(row | found | _exact(n, least, past_seen, known))
    for name, design in two_stage(past_seen, known, level, wanted).items():
        rows.append(
            row
            | {
                "design": f"Simon's two stages, {name}",
                "n_arm": design.n,
                "power": design.power,
                "type_one_error": design.type_one,
                "first_stage": design.n1,
                "first_stage_limit": design.r1,
                "least_successes": design.r + 1,
                "expected_patients": design.expected,
                "early_stop": design.early,
            }
        )
    return rows


def _exact(n: int, least: int, past: float, share: float) -> dict:
    from scipy.stats import binom

    return {
        "power": float(binom.sf(least - 1, n, share)),
        "type_one_error": float(binom.sf(least - 1, n, past)),
        "expected_patients": n,
    }


def _precise(cohort: Cohort) -> dict:
    """Return the patients that tell one arm's share to plus or minus `HALF_WIDTH`."""
    from statsmodels.stats.proportion import samplesize_confint_proportion

    share = (cohort.yes.sum() + JEFFREYS) / (cohort.n + 2 * JEFFREYS)
    n = ceil(samplesize_confint_proportion(share, HALF_WIDTH, alpha=1 - LEVEL, method="normal"))
    return {
        "arm": cohort.arm,
        "design": f"share to within {100 * HALF_WIDTH:.0f} points",
        "analysis": "interval",
        "share_arm": cohort.share,
        "n_arm": n,
        "spans": "normal approximation of a 90 % interval",
    }
