"""Design search: the smallest of the swept designs that reaches the target with the wanted confidence."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.study_trial import DesignSearch
from hsc_pipeline.trials.cohort import Plan, reached
from hsc_pipeline.trials.dose import is_logarithmic
from hsc_pipeline.trials.power import TAIL, past_known
from hsc_pipeline.trials.single_arm import one_stage
from hsc_pipeline.trials.surface import Designs, choose, fit, resampled

DOSE = "product.cd34_per_kg"  # made small first, where no order is given
BOOTSTRAPS = 200
MOST_CELLS = 2500  # of the grid; then axes get fewer levels
MOST_LEVELS, FEWEST_LEVELS = 25, 3
FEWEST_POINTS = 5  # below, nothing can be held out
SEARCH_COLUMNS = ["arm", "share", "low", "high", "confidence", "reaches", "spans"]
CHOSEN_COLUMNS = [
    "arm",
    "status",
    "parameter",
    "value",
    "share",
    "low",
    "high",
    "confidence",
    "target",
    "models",
    "past_share",
    "patients",
    "spans",
]
SPANS = "of the surrogates over points and patients, 90 % bootstrap; not the catalogue's ranges"
FOUND, BEST, NO_SKILL = (
    "found",
    "none reaches the target; the most likely",
    "no better than one share for all",
)


def designs_of_sweep(
    outcomes: pd.DataFrame, points: pd.DataFrame, over: Mapping[str, Mapping], plan: Plan
) -> list[Designs]:
    """Return the swept designs of each arm.

    Parameters
    ----------
    outcomes : pandas.DataFrame
        `outcomes.OUTCOMES` with ``point``.
    points : pandas.DataFrame
        `points.POINTS`.
    over : mapping of str to mapping
        Of the study file's sweep, by name: ``values``, or ``least``, ``most`` and ``scale``.
    plan : Plan
    """
    wide = points.pivot(index=["arm", "point"], columns="parameter", values="value")[list(over)]
    rows = outcomes[["arm", "point", "patient"]].assign(
        yes=reached(outcomes, plan.trial.endpoint, plan.horizon)
    )
    rows = rows.merge(wide.reset_index(), on=["arm", "point"], validate="many_to_one")
    axes = {name: axis_of(over[name], wide[name].to_numpy(float), len(over)) for name in over}
    logarithmic = {name: _is_log(over[name], axes[name]) for name in over}
    return [
        Designs(str(arm), axes, logarithmic, part.drop(columns="arm").reset_index(drop=True))
        for arm, part in rows.groupby("arm", sort=False)
    ]


def axis_of(span: Mapping, tried: np.ndarray, axes: int) -> np.ndarray:
    """Return the values of one name on which a design is looked for, within what was tried."""
    if span.get("values"):
        return np.unique(np.asarray(span["values"], float))
    levels = int(np.clip(MOST_CELLS ** (1 / axes), FEWEST_LEVELS, MOST_LEVELS))
    space = np.geomspace if span.get("scale") == "log" else np.linspace
    axis = space(span["least"], span["most"], levels)
    whole = np.all(tried == np.round(tried)) and span["most"] - span["least"] <= levels
    return np.unique(np.round(axis)) if whole else axis


def _is_log(span: Mapping, axis: np.ndarray) -> bool:
    return is_logarithmic(axis) if span.get("values") else span.get("scale") == "log"


def search(
    designs: Designs, skill: pd.DataFrame, plan: Plan, past: float | None, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Look for the smallest design on a grid of a surrogate.

    A design reaches the target if at least the wanted confidence of bootstrap surrogates, each fitted to
    points and patients drawn anew, gives it a share at or above the target.  Models that the data do not
    tell apart take turns in the bootstrap, so that the interval is wide where they disagree, as at the
    corners of the sweep; the share is their mean.

    Parameters
    ----------
    designs : Designs
    skill : pandas.DataFrame
        Of `surface.judge` for these designs.
    plan : Plan
    past : float or None
        Share that a trial of the chosen design would be held against.
    seed : int

    Returns
    -------
    grid : pandas.DataFrame
        `SEARCH_COLUMNS` and a column for each swept name.
    chosen : pandas.DataFrame
        `CHOSEN_COLUMNS`, a row a swept name.
    """
    models, useful = choose(skill)
    cells = grid_of(designs)
    grid = pd.DataFrame(cells, columns=designs.names)
    rng = np.random.default_rng([seed % 2**63, 11])
    shares = np.stack(
        [
            fit(models[turn % len(models)], designs, sample, seed)(cells)
            for turn, sample in enumerate(resampled(designs, BOOTSTRAPS, rng))
        ]
    )
    grid["share"] = np.mean([fit(m, designs, designs.counts(), seed)(cells) for m in models], axis=0)
    grid["low"], grid["high"] = np.quantile(shares, [TAIL, 1 - TAIL], axis=0)
    grid["confidence"] = (shares >= plan.trial.target).mean(axis=0)
    grid["reaches"] = grid["confidence"] >= plan.trial.confidence
    status, best = NO_SKILL, None
    if useful:
        status = FOUND if grid["reaches"].any() else BEST
        best = smallest(grid, designs.names, plan.trial.search)
    grid = grid.assign(arm=designs.arm, spans=SPANS)[[*designs.names, *SEARCH_COLUMNS]]
    return grid, _chosen(designs, grid, best, status, models, plan, past)


def grid_of(designs: Designs) -> np.ndarray:
    """Return every combination of the axes, shape (cells, names)."""
    return np.stack([a.ravel() for a in np.meshgrid(*designs.axes.values(), indexing="ij")], axis=1)


def smallest(grid: pd.DataFrame, names: Sequence[str], wanted: DesignSearch) -> int:
    """Return the row of the smallest design that reaches the target, or of the most likely one.

    Smallest is the least cost where costs are given; otherwise the values are made small in their order,
    the dose first, then as they are swept.
    """
    if not grid["reaches"].any():
        return int(grid.sort_values(["confidence", "share"], ascending=False, kind="stable").index[0])
    enough = grid[grid["reaches"]]
    if wanted.cost:
        cost = sum(weight * enough[name] for name, weight in wanted.cost.items())
        return int(cost.sort_values(kind="stable").index[0])
    order = [*wanted.minimise, *([DOSE] if DOSE in names else []), *names]
    return int(enough.sort_values(list(dict.fromkeys(order)), kind="stable").index[0])


def _chosen(
    designs: Designs,
    grid: pd.DataFrame,
    best: int | None,
    status: str,
    models: Sequence[str],
    plan: Plan,
    past: float | None,
) -> pd.DataFrame:
    row = grid.loc[best] if best is not None else pd.Series(np.nan, grid.columns)
    patients = None if best is None or past is None else _patients(plan, float(row["share"]), past)
    same = {name: row[name] for name in ("share", "low", "high", "confidence")}
    same |= {"arm": designs.arm, "status": status, "target": plan.trial.target, "models": "+".join(models)}
    same |= {"past_share": np.nan if past is None else past, "spans": SPANS}
    same |= {"patients": np.nan if patients is None else patients}
    rows = [{**same, "parameter": name, "value": row[name]} for name in designs.names]
    return pd.DataFrame(rows, columns=CHOSEN_COLUMNS)


def _patients(plan: Plan, share: float, past: float) -> int | None:
    """Return the patients with whom one arm of the chosen design shows that it is better than the past."""
    level = plan.trial.alpha / plan.trial.sides
    found = one_stage(
        past_known(plan, past), share * plan.known, level, plan.trial.power, max(plan.trial.sizes)
    )
    return None if found is None else found[0]
