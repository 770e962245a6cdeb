"""Planning samples: how much DNA, of which cells, at which months, to see what one wants to see."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.corrected_population import Design, Prior, Reference, Spread
from hsc_pipeline.tracking.indices import LEVEL
from hsc_pipeline.tracking.neutral import Marrow

MOST_SAMPLES = 1000
AROUND = 3.0  # the numbers of clones that the correction knows of reach so far beyond the two compared
LINEAGES = ("neutrophil", "monocyte", "b_cell", "nk_cell", "t_cell")


def _values() -> dict:
    from hsc_pipeline.catalogue import branch_values

    return {name: value.value for name, value in branch_values("tracking").items()}


def dna_to_see(
    share, power: float = 0.9, fragments: int = 1, copies: float = 1.0, capture: float | None = None
):
    """Return the DNA in which a clone is seen with a given chance; the inverse of `chance_to_see`.

    Parameters
    ----------
    share : array_like of float
        Of the clone, among all cells of the sorted lineage, marked or not.
    power : float
        Chance of at least `fragments`.
    fragments : int
        Of distinct length.
    copies : float
        Insertions of the clone; one of them is followed, and is as good as all: 1.
    capture : float, optional
        None: ``lab.capture_efficiency``.

    Returns
    -------
    array of float
        ng.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaincinv

    share = np.asarray(share, float)
    if np.any((share <= 0) | (share > 1)) or not 0 < power < 1:
        raise UserError("share, power: allowed: a share above 0, to 1, and a power between 0 and 1")
    values = _values()
    capture = values["lab.capture_efficiency"] if capture is None else capture
    # All clones are alike but for the scale of the mean, so one root serves all shares.
    start = np.log(gammaincinv(fragments, power) / (copies * capture * values["lab.genomes_per_ng"]))

    def missing(x: float) -> float:
        return float(chance_to_see(1.0, np.exp(x), fragments, copies, capture)) - power

    ln = brentq(missing, start - 1, start + 5)
    return np.exp(ln) / share


def chance_to_see(share, ng, fragments: int = 1, copies: float = 1.0, capture: float | None = None):
    """Return the chance of at least so many fragments of a clone.

    Cells of the clone are Poisson, with the scatter of its output from visit to visit
    (``selection.visit_ln_sd``); each insertion is captured by chance; fragments of one length are
    one, of ``lab.fragment_lengths``, so that their number is binomial.

    Parameters
    ----------
    share, ng : array_like of float
    fragments, copies, capture
        As of `dna_to_see`.
    """
    from scipy.special import bdtrc

    values = _values()
    capture = values["lab.capture_efficiency"] if capture is None else capture
    mean = np.asarray(ng, float) * values["lab.genomes_per_ng"] * np.asarray(share, float) * copies * capture
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    lengths = round(values["lab.fragment_lengths"])
    hit = -np.expm1(-mean[..., None] * np.exp(values["selection.visit_ln_sd"] * nodes) / lengths)
    return bdtrc(fragments - 1, lengths, hit) @ (weights / weights.sum())


def samples_to_see(share, ng: float, power: float = 0.9, spread: float | None = None, **how) -> np.ndarray:
    """Return how many samples show a clone in one of them, when their DNA varies.

    Parameters
    ----------
    share : array_like of float
    ng : float
        Median DNA of a sample.
    power : float
    spread : float, optional
        Of ln DNA between samples; None: ``lab.dna_ln_sd``.
    **how
        As of `chance_to_see`.

    Returns
    -------
    array of float
        Infinite above a thousand.
    """
    missed = 1 - usual_chance(share, ng, spread, **how)
    with np.errstate(divide="ignore"):
        needed = np.ceil(np.log1p(-power) / np.log(missed) - 1e-9)
    return np.where(needed > MOST_SAMPLES, np.inf, np.maximum(needed, 1))


def usual_chance(share, ng: float, spread: float | None = None, **how) -> np.ndarray:
    """Return the chance that a sample shows a clone, averaged over the spread of DNA between samples."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    spread = _values()["lab.dna_ln_sd"] if spread is None else spread
    given = ng * np.exp(spread * nodes)
    return chance_to_see(np.asarray(share, float)[..., None], given, **how) @ (weights / weights.sum())


def lineages_to_see(
    share: float,
    corrected: dict[str, float],
    power: float = 0.9,
    fragments: int = 1,
    samples: int = 1,
    spread: float | None = None,
):
    """Return by lineage the DNA and the samples that show a clone.

    Parameters
    ----------
    share : float
        Of the clone, among corrected cells.
    corrected : dict of str to float
        Corrected fraction of each sorted lineage, some of `LINEAGES`.
    power : float
    fragments : int
        In all samples together.
    samples : int
        Taken of each lineage.
    spread : float, optional
        Spread of ln DNA between samples; None: ``lab.dna_ln_sd``.

    Returns
    -------
    pandas.DataFrame
        ``lineage, ng_needed`` in all; ``ng_usual`` of one sample; ``samples_needed``, of which one shows
        the clone; ``chance`` with `samples` pooled, averaged over their spread.
    """
    import pandas as pd

    foreign = sorted(set(corrected) - set(LINEAGES))
    if foreign:
        raise UserError(f"lineage: {foreign[0]!r}; allowed: {', '.join(LINEAGES)}")
    values = _values()
    spread = values["lab.dna_ln_sd"] if spread is None else spread
    nodes = np.random.default_rng(0).standard_normal((2000, samples))
    rows = []
    for lineage, fraction in corrected.items():
        usual = values[f"lab.dna_ng.{lineage}"]
        needed = float(dna_to_see(share * fraction, power, fragments))
        given = (usual * np.exp(spread * nodes)).sum(axis=1)
        chance = float(chance_to_see(share * fraction, given, fragments).mean())
        number = float(samples_to_see(share * fraction, usual, power, spread, fragments=fragments))
        rows.append((lineage, needed, usual, number, chance))
    columns = ["lineage", "ng_needed", "ng_usual", "samples_needed", "chance"]
    return pd.DataFrame(rows, columns=columns)


def power_of_fold_change(
    fold: float,
    clones: float,
    ng: Sequence[float],
    occasions: Sequence[int],
    corrected: float = 1.0,
    estimator: str = "Chao2",
    spread: Spread | None = None,
    level: float = LEVEL,
    draws: int = 250,
    pairs: int = 60,
    seed: int = 0,
):
    """Return the chance to tell two numbers of clones apart, by samples and DNA.

    Two patients, or one before and after, are followed alike, a year between samples.  Pairs of them
    are simulated, of marrows drawn from what is thought possible and alike but for the number; each
    gets the number of `corrected_population`, and the logarithms are compared by their intervals.

    Parameters
    ----------
    fold : float
        Ratio of the two numbers, such as 2.
    clones : float
        The smaller number.
    ng : sequence of float
        DNA of a sample.
    occasions : sequence of int
        Samples.
    corrected : float
        Corrected fraction of the cells.
    estimator : str
        One of `corrected_population.MODELS`.
    spread : Spread, optional
        As of `corrected_population`.
    level : float
        1 - the size of the two-sided test.
    draws, pairs : int
        Studies behind the correction, and pairs of studies.
    seed : int

    Returns
    -------
    pandas.DataFrame
        ``ng, occasions, fragments, ln_error, power, power_low, power_high``; the error is of one ln
        number, on average, the interval that of the simulation.
    """
    import pandas as pd

    from hsc_pipeline.tracking.operating import wilson

    if fold <= 1:
        raise UserError(f"fold: {fold:g}; allowed: above 1")
    values, rows = _values(), []
    per_ng = values["lab.genomes_per_ng"] * corrected * values["lab.capture_efficiency"]
    for amount in ng:
        for times in occasions:
            rng = np.random.default_rng([seed, times])
            design = Design(12.0 * np.arange(times), np.full(times, max(amount * per_ng, 1.0)), True)
            told, errors = _pairs(
                rng, design, (clones, clones * fold), estimator, spread, level, draws, pairs
            )
            power = float(np.mean(told)) if len(told) else np.nan
            ends = wilson(int(np.sum(told)), len(told))
            rows.append((amount, times, amount * per_ng, float(np.mean(errors)), power, *ends))
    columns = ["ng", "occasions", "fragments", "ln_error", "power", "power_low", "power_high"]
    return pd.DataFrame(rows, columns=columns)


def reference_between(rng, design: Design, ends, estimator: str, spread: Spread | None, draws: int):
    """Return simulated studies of a planned design, of numbers of clones about those given."""
    prior = Prior.of(replace(design, seen=1), spread)
    low, high = prior.low.copy(), prior.high.copy()
    low[0], high[0] = np.log(max(ends[0] / AROUND, 2.0)), np.log(ends[1] * AROUND)
    return Reference.simulate(rng, design, replace(prior, low=low, high=high), draws, (estimator,))


def _pairs(rng, design, ends, estimator, spread, level, draws: int, pairs: int):
    """Return whether each pair is told apart, and the errors of ln numbers."""
    from scipy.special import ndtri

    reference = reference_between(rng, design, ends, estimator, spread, draws)
    told, errors = [], []
    for _ in range(pairs):
        marrow = reference.prior.draw(rng, design.copies)[1]
        found = [_ln_number(rng, reference, replace(marrow, clones=round(n)), level) for n in ends]
        sizes = [error for _, error in found]
        gap = (found[1][0] - found[0][0]) / np.hypot(*sizes)
        told.append(bool(abs(gap) > ndtri((1 + level) / 2)))  # never of what has no number
        errors += [error for error in sizes if np.isfinite(error)]
    return told, errors


def _ln_number(rng, reference: Reference, marrow: Marrow, level: float) -> tuple[float, float]:
    """Return the ln corrected number of a simulated study, and its standard error; NaN if there is none."""
    from scipy.special import ndtri

    study = reference.design.draw(rng, marrow)
    if study is None:
        return np.nan, np.nan
    row = reference.correct(study[0], level).iloc[0]
    return np.log(row["clones"]), np.log(row["high"] / row["low"]) / (2 * ndtri((1 + level) / 2))


def month_of_share(share: float, advantage: float, first: float) -> float:
    """Return the month at which a growing clone holds a share: logit p(t) = logit p(0) + advantage t.

    Parameters
    ----------
    share : float
    advantage : float
        Per year.
    first : float
        Its share at month 0.
    """
    from scipy.special import logit

    if not (0 < first < 1 and 0 < share < 1 and advantage > 0):
        raise UserError("month of a share: allowed: shares between 0 and 1, and an advantage above 0")
    return float(max(12 * (logit(share) - logit(first)) / advantage, 0.0))


def barcode_threshold(
    capture: float, population: float, labelled: float = 1.0, confidence: float = 0.95
) -> float:
    """Return the share of reads below which a clone may have been missed in another sample.

    Parameters
    ----------
    capture : float
        Chance of one cell to be read.
    population : float
        Cells sampled.
    labelled : float
        Share of them with a barcode.
    confidence : float

    References
    ----------
    ln(1 - confidence) / ln(1 - capture) cells are found with that confidence; as in barcodetrackR,
    Espinoza 2021, 10.1038/s43588-021-00057-4.
    """
    if not (0 < capture < 1 and 0 < confidence < 1 and population > 0 and 0 < labelled <= 1):
        raise UserError("barcode threshold: allowed: capture, confidence and labelled share between 0 and 1")
    return float(np.log1p(-confidence) / np.log1p(-capture) / (population * labelled))
