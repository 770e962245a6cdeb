"""Markers of what cells do: TREC for the thymus, IgG for B cells with help.

Both are quantities of one patient at the visits; `reconstitution` puts them in their table.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hsc_pipeline.blood.lineages import T_OF
from hsc_pipeline.norms import CENTILES_10_TO_90, Norms
from hsc_pipeline.settings import Settings

NAIVE = ("cd4_naive", "cd8_naive")
CENTILES_2_TO_97 = 3.9199  # standard deviations between the ends of a reference interval of 95 %
DAYS_PER_MONTH = 365.25 / 12


def trec_per_cell(age_years: np.ndarray | float, settings: Settings) -> np.ndarray:
    """Return excision circles per naive T cell.

    A circle is not copied when a cell divides, so a cell's content is that of an emigrant times the share
    of new cells that come from the thymus, which falls with age.
    """
    share = settings["repertoire.t_cell.thymic_share_at_birth"] * np.exp(
        -np.asarray(age_years) / settings["blood.thymic_age_years"]
    )
    return settings["trec.per_emigrant"] * share


def trec(counts: Mapping[str, Mapping[str, np.ndarray]], settings: Settings) -> np.ndarray:
    """Return excision circles per microlitre of blood.

    Uncorrected cells carry them as far as host progenitors hold the thymus: where its niches stand
    empty, what T cells there are never came from it.

    Parameters
    ----------
    counts : mapping of str to mapping of str to array
        Columns of `blood.COUNTS` by lineage.
    settings : Settings
    """
    of_host = 1 - settings["disease.thymic_niches_free"]
    made = sum(functional_count(counts[pool], of_host) for pool in NAIVE)
    return made * trec_per_cell(counts[NAIVE[0]]["age_years"], settings)


def trec_normal(age_years: np.ndarray, norms: Norms, settings: Settings) -> np.ndarray:
    """Return excision circles per microlitre at the medians of naive cells for age."""
    return sum(norms.median(pool, age_years) for pool in NAIVE) * trec_per_cell(age_years, settings)


def functional_count(lineage: Mapping[str, np.ndarray], uncorrected: float) -> np.ndarray:
    """Return cells per microlitre with uncorrected ones weighted by their function."""
    corrected = lineage["corrected_per_ul"]
    return corrected + uncorrected * np.maximum(lineage["count_per_ul"] - corrected, 0)


def uncorrected_function(lineage: str, null_genotype: bool, settings: Settings) -> float:
    """Return the function of an uncorrected cell against a normal one; one where the disease spares it."""
    name = f"disease.uncorrected_function.{T_OF.get(lineage, lineage)}"
    function = settings.values.get(name, 1.0)
    return function * settings["disease.null_function_factor"] if null_genotype and function < 1 else function


def igg_norms(rows: Sequence[tuple]) -> Norms:
    """Return the norms of IgG, g/L, from reference intervals of 95 %, as log-normal ones.

    Parameters
    ----------
    rows : sequence of (age_from_years, age_to_years, lower, upper)
        The catalogue table ``igg_norms``.
    """
    to_p10 = CENTILES_10_TO_90 / CENTILES_2_TO_97 / 2
    bands = []
    for start, stop, lower, upper in rows:
        median, spread = np.sqrt(lower * upper), (upper / lower) ** to_p10
        bands.append(("igg", start, stop, median, median / spread, median * spread))
    return Norms(bands)


def igg_drive(b_cells: np.ndarray | float, helpers: np.ndarray | float, settings: Settings) -> np.ndarray:
    """Return the IgG that B and CD4+ cells keep in the long run, against the norm; 1 at the medians, at most.

    Parameters
    ----------
    b_cells, helpers : array of float
        Functional cells against the median for age.
    settings : Settings
    """
    made = saturating(b_cells, settings["igg.half_b_cells"]) * saturating(helpers, settings["igg.half_help"])
    return np.minimum(made, 1.0)


def saturating(cells: np.ndarray | float, half: float) -> np.ndarray | float:
    """Return (1 + half) x / (half + x): 0 without cells, 1 at the norm."""
    return (1 + half) * cells / (half + cells)


def own_igg(months: np.ndarray, drive: np.ndarray, start: float, settings: Settings) -> np.ndarray:
    """Return IgG of one's own at the visits, against the norm for age.

    Plasma cells p follow the drive u with a lag, IgG g follows them as it is broken down:
    p' = (u - p) / a, g' = (p - g) / b.  Between visits u is a straight line and the solution exact.

    Parameters
    ----------
    months, drive : array of float, shape (visits,)
    start : float
        Drive, plasma cells and IgG at infusion.
    settings : Settings
    """
    a = settings["igg.plasma_cell_months"]
    b = settings["igg.half_life_days"] / np.log(2) / DAYS_PER_MONTH
    plasma = igg = before = start
    then, found = 0.0, []
    for month, after in zip(months, drive, strict=True):
        plasma, igg = follow(month - then, before, after, plasma, igg, a, b)
        found.append(igg)
        then, before = month, after
    return np.maximum(found, 0.0)


def follow(
    step: float, before: float, after: float, plasma: float, igg: float, a: float, b: float
) -> tuple[float, float]:
    """Return plasma cells and IgG after `step` months in which the drive goes in a line; a and b differ."""
    if step <= 0:
        return plasma, igg
    slope = (after - before) / step
    gone_a, gone_b = np.exp(-step / a), np.exp(-step / b)
    excess = plasma - before + slope * a
    carried = excess * a / (a - b)
    rest = igg - before + slope * (a + b) - carried
    return (
        after - slope * a + excess * gone_a,
        after - slope * (a + b) + carried * gone_a + rest * gone_b,
    )
