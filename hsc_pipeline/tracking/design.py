"""Planning samples: how much DNA, of which cells, at which months, to see what one wants to see."""

from collections.abc import Sequence

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.corrected_population import Spread, Study, catalogue_spread
from hsc_pipeline.tracking.indices import LEVEL

LINEAGES = ("neutrophil", "monocyte", "b_cell", "nk_cell", "t_cell")


def _values() -> dict:
    from hsc_pipeline.catalogue import branch_values

    return {name: value.value for name, value in branch_values("tracking").items()}


def dna_to_see(
    share, power: float = 0.9, fragments: int = 1, copies: float = 1.0, capture: float | None = None
):
    """Return the DNA in which a clone is seen with a given chance.

    Fragments of the clone are Poisson with mean ng x genomes per ng x share x copies x capture.

    Parameters
    ----------
    share : array_like of float
        Of the clone, among all cells of the sample, marked or not.
    power : float
        Chance of at least `fragments`.
    fragments : int
    copies : float
        Insertions of the clone; one of them is followed, and is as good as all: 1.
    capture : float, optional
        None: ``lab.capture_efficiency``.

    Returns
    -------
    array of float
        ng.
    """
    from scipy.special import gammaincinv

    share = np.asarray(share, float)
    if np.any((share <= 0) | (share > 1)) or not 0 < power < 1:
        raise UserError("share, power: allowed: a share above 0, to 1, and a power between 0 and 1")
    values = _values()
    capture = values["lab.capture_efficiency"] if capture is None else capture
    needed = gammaincinv(fragments, power)  # the mean at which P(at least so many) is the power
    return needed / (share * copies * capture * values["lab.genomes_per_ng"])


def chance_to_see(share, ng, fragments: int = 1, copies: float = 1.0, capture: float | None = None):
    """Return the chance of at least so many fragments of a clone; the inverse of `dna_to_see`."""
    from scipy.special import gammainc

    values = _values()
    capture = values["lab.capture_efficiency"] if capture is None else capture
    mean = np.asarray(ng, float) * values["lab.genomes_per_ng"] * np.asarray(share, float) * copies * capture
    return gammainc(fragments, mean)


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
        ``lineage, ng_needed`` in all; ``ng_usual`` of one sample; ``samples_needed`` of it; ``chance``
        with `samples` of them, averaged over their spread.
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
        rows.append((lineage, needed, usual, int(np.ceil(needed / usual)), chance))
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
    draws: int = 60,
    seed: int = 0,
):
    """Return the chance to tell two numbers of clones apart, by samples and DNA.

    Two patients, or one before and after, are followed alike; each gets the bias-corrected number of
    `corrected_population`, whose error is found by simulation; their logarithms are compared.  The spread
    of output is the same in both and known up to its error, which therefore cancels.

    Parameters
    ----------
    fold : float
        Ratio of the two numbers, such as 2.
    clones : float
        The smaller number.
    ng : sequence of float
        DNA of a sample.
    occasions : sequence of int
        Samples, at months far enough apart to be drawn afresh.
    corrected : float
        Corrected fraction of the cells.
    estimator : str
        One of `corrected_population.MODELS`.
    spread : Spread, optional
        None: the catalogue's.
    level : float
        1 - the size of the two-sided test.
    draws, seed : int

    Returns
    -------
    pandas.DataFrame
        ``ng, occasions, fragments, ln_error, power``; the error is of one ln number, the mean of both.
    """
    import pandas as pd
    from scipy.special import ndtr, ndtri

    if fold <= 1:
        raise UserError(f"fold: {fold:g}; allowed: above 1")
    values, spread = _values(), spread or catalogue_spread()
    z, rows = ndtri((1 + level) / 2), []
    for amount in ng:
        fragments = amount * values["lab.genomes_per_ng"] * corrected * values["lab.capture_efficiency"]
        for times in occasions:
            errors = [
                _ln_error(n, fragments, times, estimator, spread, draws, seed)
                for n in (clones, clones * fold)
            ]
            shift = np.log(fold) / np.hypot(*errors)
            power = float(ndtr(shift - z) + ndtr(-shift - z))
            rows.append((amount, times, fragments, float(np.hypot(*errors) / np.sqrt(2)), power))
    return pd.DataFrame(rows, columns=["ng", "occasions", "fragments", "ln_error", "power"])


def _ln_error(clones, fragments, times, estimator, spread: Spread, draws: int, seed: int) -> float:
    """Return the standard error of the ln corrected number of a study."""
    output = np.exp(spread.sigma * np.linspace(-6, 6, 121))
    law = np.exp(-(np.linspace(-6, 6, 121) ** 2) / 2)
    rate = fragments / (clones * np.exp(spread.sigma**2 / 2))
    seen = clones * float((-np.expm1(-rate * output)) @ law / law.sum())
    study = Study(np.full(times, seen))
    simulated = study.simulate(
        np.random.default_rng(seed), clones, Spread(spread.sigma, 0.0), draws, (estimator,)
    )
    return float(study.errors(estimator, clones, spread.sigma, simulated, 0).std(ddof=1))


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
