"""What a rule costs and finds under a study's own sampling: false alarms, and months to detection.

Patients are simulated by the engine of `dynamics`, with and without a clone of given advantage, and
sampled as the study samples; each rule then reads what a laboratory would see.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.indices import LEVEL

BLOCK = 10  # patients simulated together


@dataclass(frozen=True)
class Sampling:
    """What a study samples, and of whom.

    Attributes
    ----------
    fragments : float
        Of one sample, on average.
    clones : int
        Marked stem cells that engrafted, each a clone.
    stem_cells : float
        Marked stem cells of the regrown marrow.
    sigma : float, optional
        Spread of output, None: ``marrow.clone_output_sigma``.
    fragment_lengths : float, optional
        Distinct lengths in which abundant clones saturate; None: abundances are corrected for it.
    division_per_year, regrowth_per_year : float, optional
        None: the catalogue's.
    visit_ln_sd : float, optional
        Scatter of a clone's ln output from visit to visit; None: ``selection.visit_ln_sd``.
    """

    fragments: float
    clones: int
    stem_cells: float
    sigma: float | None = None
    fragment_lengths: float | None = None
    division_per_year: float | None = None
    regrowth_per_year: float | None = None
    visit_ln_sd: float | None = None

    def __post_init__(self):
        for name, least in (("fragments", 1), ("clones", 2), ("stem_cells", self.clones)):
            if not getattr(self, name) >= least:
                raise UserError(f"{name}: {getattr(self, name):g}; allowed: from {least:g}")
        from hsc_pipeline.catalogue import branch_values

        for name, source in (
            ("sigma", "marrow.clone_output_sigma"),
            ("division_per_year", "marrow.division_per_year"),
            ("regrowth_per_year", "marrow.regrowth_per_year"),
            ("visit_ln_sd", "selection.visit_ln_sd"),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, branch_values("tracking")[source].value)


def sampled_patients(
    sampling: Sampling, months: Sequence[float], patients: int, advantage: float, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw what the study sees of virtual patients, one by one.

    Parameters
    ----------
    sampling : Sampling
    months : sequence of float
        Of the samples, after infusion.
    patients : int
    advantage : float
        Growth of clone 0 against the others, per year; 0: nobody has a driver.
    seed : int
        The same seed gives the same outputs of clones whatever the advantage.

    Yields
    ------
    counts : array of int, shape (clones, samples)
    cells : array of int, shape (samples,)
        True stem cells of clone 0.
    """
    from hsc_pipeline.dynamics import simulate_patients

    years, base = np.asarray(months, float) / 12, sampling.division_per_year
    division = [base, base + advantage]
    for start in range(0, patients, BLOCK):
        block = min(BLOCK, patients - start)
        kinds = np.zeros(sampling.clones, np.int64)
        kinds[0] = advantage > 0
        run = simulate_patients(
            [np.ones(sampling.clones, np.int64)] * block,
            [kinds] * block,
            division,
            [base, base],
            years,
            np.random.SeedSequence([seed, start]),
            capacity=sampling.stem_cells,
            regrowth=sampling.regrowth_per_year,
        ).columns
        sizes = np.zeros((block, sampling.clones, len(years)), np.int64)
        sizes[run["patient"], run["clone"], run["visit"]] = run["cells"]
        for number in range(block):
            rng = np.random.default_rng(np.random.SeedSequence([seed, start + number, 1]))
            yield draw_counts(rng, sizes[number], sampling), sizes[number, 0]


def draw_counts(rng: np.random.Generator, cells: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Draw the fragments of clones of given stem cells, shape (clones, samples)."""
    ln = sampling.sigma * rng.standard_normal((len(cells), 1))
    weight = cells * np.exp(ln + sampling.visit_ln_sd * rng.standard_normal(cells.shape))
    mean = sampling.fragments * weight / np.maximum(weight.sum(axis=0), 1e-300)
    if sampling.fragment_lengths is None:
        return rng.poisson(mean)
    # Of n ~ Poisson fragments in L lengths, the lengths hit are binomial.
    return rng.binomial(round(sampling.fragment_lengths), -np.expm1(-mean / sampling.fragment_lengths))


def operating_characteristics(
    sampling: Sampling,
    schedules: Mapping[str, Sequence[float]],
    advantages: Sequence[float] = (0.3, 0.5, 1.0),
    rules: Mapping[str, Callable] | None = None,
    patients: int = 200,
    seed: int = 0,
):
    """Return false alarms and times to detection of every rule under every schedule.

    Parameters
    ----------
    sampling : Sampling
    schedules : mapping of str to sequence of float
        Months of the samples, by name; all end at about the same time, or compare them with care.
    advantages : sequence of float
        Of the driver that a rule should find, per year; one driver a patient, from infusion on.
    rules : mapping of str to callable, optional
        As of `dominance.rules`, the default.
    patients : int
        Virtual patients, without and with each driver.
    seed : int

    Returns
    -------
    pandas.DataFrame
        A row per schedule, rule and advantage: ``schedule, samples, rule``;
        ``false_alarms_per_patient_year`` with ``false_low, false_high``, samples flagged in patients
        without a driver; ``patients_alarmed``, share of them ever flagged; ``advantage, detected,
        detected_low, detected_high``, share of live drivers that were flagged themselves;
        ``months_to_detection``, its median over all live drivers, infinite where less than half were;
        ``share_at_detection``, of the driver's stem cells among the marked.
    """
    import pandas as pd

    from hsc_pipeline.tracking import dominance

    rules = dominance.rules() if rules is None else rules
    months = np.unique(np.concatenate([np.asarray(s, float) for s in schedules.values()]))
    columns = {name: np.searchsorted(months, np.sort(s)) for name, s in schedules.items()}
    quiet = _alarms(sampling, months, columns, rules, patients, 0.0, seed)
    rows = []
    for advantage in advantages:
        driven = _alarms(sampling, months, columns, rules, patients, advantage, seed)
        rows += [
            {
                "schedule": name,
                "samples": len(at),
                "rule": rule,
                **_false(quiet[name, rule], months[at]),
                "advantage": advantage,
                **_found(driven[name, rule], months[at]),
            }
            for name, at in columns.items()
            for rule in rules
        ]
    return pd.DataFrame(rows)


def _alarms(sampling, months, columns, rules, patients, advantage, seed):
    """Return, by schedule and rule, flagged clones and the driver's share of cells, a row a patient."""
    found = {(name, rule): ([], []) for name in columns for rule in rules}
    for counts, cells in sampled_patients(sampling, months, patients, advantage, seed):
        for name, at in columns.items():
            seen = counts[:, at]
            for rule, flag in rules.items():
                flags, driver = found[name, rule]
                flags.append(flag(seen))
                driver.append(cells[at] / sampling.stem_cells)
    return {key: (np.array(flags), np.array(driver)) for key, (flags, driver) in found.items()}


def _false(alarms, months: np.ndarray) -> dict[str, float]:
    from scipy.special import ndtri

    flagged = alarms[0] >= 0
    years = months[-1] / 12
    rate = flagged.sum(axis=1) / years
    # Alarms of one patient come together, so patients, not alarms, are the sample.
    half = ndtri((1 + LEVEL) / 2) * rate.std(ddof=1) / np.sqrt(len(rate))
    none = -np.log((1 - LEVEL) / 2) / (len(rate) * years)
    return {
        "false_alarms_per_patient_year": rate.mean(),
        "false_low": max(rate.mean() - half, 0.0),
        "false_high": max(rate.mean() + half, none),
        "patients_alarmed": flagged.any(axis=1).mean(),
    }


def _found(alarms, months: np.ndarray) -> dict[str, float]:
    flags, share = alarms
    live = share[:, -1] > 0
    flags, share = flags[live], share[live]
    hit = flags == 0
    detected = hit.any(axis=1)
    first = hit.argmax(axis=1)
    when = np.where(detected, months[first], np.inf)
    low, high = wilson(int(detected.sum()), len(detected))
    at = share[np.arange(len(share)), first][detected]
    return {
        "detected": detected.mean() if len(detected) else np.nan,
        "detected_low": low,
        "detected_high": high,
        "months_to_detection": float(np.quantile(when, 0.5, method="higher")) if len(when) else np.nan,
        "share_at_detection": float(np.median(at)) if len(at) else np.nan,
    }


def wilson(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the score interval of a share, Wilson 1927, 10.1080/01621459.1927.10502953."""
    from scipy.special import ndtri

    if n == 0:
        return np.nan, np.nan
    z, share = ndtri((1 + level) / 2), hits / n
    centre, shrink = share + z**2 / (2 * n), 1 + z**2 / n
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(centre - half, 0) / shrink), float(min((centre + half) / shrink, 1))


def recommend(table, advantage: float, most_false_alarms: float = 0.05, least_detected: float = 0.9):
    """Return the schedules and rules that are good enough, the best first.

    Good enough: false alarms per patient-year surely at most, and drivers of the advantage surely
    at least, what is asked, by the ends of their intervals.  The best takes the fewest samples, and
    of these the one that finds drivers first.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `operating_characteristics`.
    advantage : float
    most_false_alarms : float
        Per patient-year.
    least_detected : float
        Share of drivers.

    Returns
    -------
    pandas.DataFrame
        Rows of `table`; none if nothing is good enough.
    """
    good = table[
        (table["advantage"] == advantage)
        & (table["false_high"] <= most_false_alarms)
        & (table["detected_low"] >= least_detected)
    ]
    return good.sort_values(["samples", "months_to_detection", "false_high"]).reset_index(drop=True)
