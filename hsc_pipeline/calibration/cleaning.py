"""What of a table of simulations can be learnt from, said before hours are spent."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.errors import UserError

FEWEST = 500  # simulations that are worth learning from
MOST_UNDEFINED = 0.05  # share of simulations in which a statistic may be undefined and still be used


@dataclass(frozen=True)
class Cleaned:
    """A table of simulations that can be learnt from.

    Attributes
    ----------
    theta, stats : pandas.DataFrame
        Simulations that gave every statistic, and the statistics that vary.
    observed : mapping of str to float
        The same statistics of the patient.
    simulations, failed : int
        Simulations in all, and those that gave no statistic at all.
    warnings : tuple of str
    """

    theta: pd.DataFrame
    stats: pd.DataFrame
    observed: Mapping[str, float]
    simulations: int
    failed: int
    warnings: tuple[str, ...]


def clean(
    theta: pd.DataFrame,
    stats: pd.DataFrame,
    priors: Mapping[str, Prior],
    observed: Mapping[str, float] | None = None,
    fewest: int = FEWEST,
) -> Cleaned:
    """Leave out what cannot be learnt from, and say so.

    A simulation without one of the statistics that the patient has cannot be the patient's: leaving it
    out conditions on that.  A statistic that is undefined in many simulations is left out instead.

    Parameters
    ----------
    theta : pandas.DataFrame, shape (simulations, parameters)
    stats : pandas.DataFrame, shape (simulations, statistics)
        A failed simulation has no number in its row.
    priors : mapping of str to Prior
    observed : mapping of str to float, optional
        None where there is no patient yet.
    fewest : int, optional
        Simulations that must be left; a pilot needs fewer.

    Returns
    -------
    Cleaned

    Raises
    ------
    UserError
        If names or rows do not match, a parameter lies outside its prior, an observation is no number
        or one that no simulation can give, or too little is left.
    """
    _check_parameters(theta, priors)
    if len(theta) != len(stats):
        raise UserError(f"calibration: {len(theta)} rows of parameters, {len(stats)} of statistics")
    if observed is not None:
        _check_observed(stats, observed)
    known = np.isfinite(stats.to_numpy(float))
    failed = ~known.any(axis=1)
    patchy, notes = _patchy(stats.columns, known[~failed])
    rows = known[:, ~patchy].all(axis=1) & ~failed
    if rows.sum() < fewest:
        raise UserError(
            f"calibration: {rows.sum()} of {len(stats)} simulations can be used and {failed.sum()} failed; "
            f"needed: {fewest} or more"
        )
    if failed.any():
        notes.insert(0, f"{failed.sum()} of {len(stats)} simulations failed and say nothing")
    if lost := int((~rows & ~failed).sum()):
        notes.append(f"{lost} of {len(stats)} simulations lack a statistic that the patient has: left out")
    used = stats.loc[rows, ~patchy].reset_index(drop=True)
    constant = used.columns[used.nunique().to_numpy() == 1]
    notes += [_constant(name, float(used[name][0]), observed) for name in constant]
    used = used.drop(columns=constant)
    if used.empty:
        raise UserError("calibration: no statistic varies between simulations; needed: one or more")
    return Cleaned(
        theta=theta.loc[rows, list(priors)].reset_index(drop=True),
        stats=used,
        observed={name: float(observed[name]) for name in used} if observed is not None else {},
        simulations=len(stats),
        failed=int(failed.sum()),
        warnings=tuple(notes),
    )


def continuous(theta: pd.DataFrame, priors: Mapping[str, Prior], seed: int) -> pd.DataFrame:
    """Return parameters of whole numbers as the continuous draws that they may have been rounded from.

    On the scores of a prior a whole number at its bound would stand infinitely far out.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    found = {}
    for name, prior in priors.items():
        values = theta[name].to_numpy(float)
        if _whole(values):
            low, high = prior.cdf(values - 0.5), prior.cdf(values + 0.5)
            values = prior.quantile(low + rng.random(len(values)) * (high - low))
        found[name] = values
    return pd.DataFrame(found)


def _whole(values: np.ndarray) -> bool:
    return bool(np.array_equal(values, np.round(values)))


def _check_parameters(theta: pd.DataFrame, priors: Mapping[str, Prior]) -> None:
    for name, prior in priors.items():
        if name not in theta:
            raise UserError(f"parameter {name!r}: it has a prior, but no column in the table of simulations")
        values = theta[name].to_numpy(float)
        rounded = 0.5 if _whole(values) else 0.0
        at = np.clip(values, prior.quantile(0), prior.quantile(1))
        if not (np.abs(at - values) <= rounded + 1e-9 * np.abs(values)).all():
            raise UserError(f"parameter {name!r}: a simulation is outside its prior; allowed: draws from it")


def _check_observed(stats: pd.DataFrame, observed: Mapping[str, float]) -> None:
    for name in stats:
        if name not in observed:
            raise UserError(f"statistic {name!r}: simulated, but not observed; allowed: those of the patient")
        if not np.isfinite(observed[name]):
            raise UserError(f"statistic {name!r}: observed {observed[name]}; allowed: a finite number")


def _patchy(names: pd.Index, known: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return which statistics are undefined too often, given where the others are known, and say so."""
    undefined = 1 - known.mean(axis=0) if len(known) else np.zeros(len(names))
    patchy = undefined > MOST_UNDEFINED
    return patchy, [
        f"statistic {name!r} is undefined in {share:.0%} of the simulations: left out"
        for name, share in zip(names[patchy], undefined[patchy], strict=True)
    ]


def _constant(name: str, value: float, observed: Mapping[str, float] | None) -> str:
    if observed is None or np.isclose(observed[name], value):
        return f"statistic {name!r} is {value:g} in every simulation and says nothing: left out"
    raise UserError(
        f"statistic {name!r}: observed {observed[name]:g}, but {value:g} in every simulation; "
        "allowed: priors and a sampling design under which it can be met"
    )
