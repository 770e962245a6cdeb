"""Statistics of a patient's samples: the same code for what was measured and for what is simulated.

Every statistic is finite for every sample, one without a clone included, so that a simulation whose
clones died out counts against its parameters and is not lost.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np

from hsc_pipeline.tracking.indices import diversity

COUNTED = ("fragments", "cells", "barcodes")  # instruments whose counts stand for molecules, unlike reads
EARLY, STABLE = "early", "stable"
FEWEST_FOR_TREND = 3
DEEP = 10  # counts of a clone in two samples together, from which its change says more than the counting
LEAST_VCN = 1e-3  # copies per cell that count as none, where no limit of detection is given
LEAST_SHARE = 1e-3  # of cells, likewise, and as much below all
LEAST_COUNT = 1.0  # cells per microlitre, likewise


@dataclass(frozen=True)
class Sample:
    """Clones of one lineage at one visit, by one instrument.

    Attributes
    ----------
    month : float
    clones : array of int, shape (clones,)
        Names as numbers, ascending, each once.
    counts : array of float, shape (clones,)
        Above 0.
    """

    month: float
    clones: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Measured:
    """What is known of one patient, measured or simulated.

    Attributes
    ----------
    samples : mapping of str to mapping of str to list of Sample
        By instrument and lineage, months ascending.
    clinical : mapping of (measure, lineage) to list of (month, value)
        Values at or below the limit of detection stand at it.
    colonies : list of (month, colonies, coalescences)
    derived : mapping of str to float
        What only a simulation knows; no statistic.
    """

    samples: Mapping[str, Mapping[str, Sequence[Sample]]]
    clinical: Mapping[tuple[str, str], Sequence[tuple[float, float]]] = field(default_factory=dict)
    colonies: Sequence[tuple[float, int, int]] = ()
    derived: Mapping[str, float] = field(default_factory=dict)


def statistics(measured: Measured, stable_month: float) -> dict[str, float]:
    """Return every statistic by name.

    Names are ``instrument.measure.lineage.window``, such as ``fragments.shannon.Myeloid.stable``;
    of two lineages ``fragments.shared.Myeloid-T.stable``; of the clinic ``clinic.vcn.Myeloid.stable``;
    of colonies ``colonies.coalescent.0``.  Samples before `stable_month` are ``early``: most of their
    clones are of short-lived progenitors.

    Parameters
    ----------
    measured : Measured
    stable_month : float

    Returns
    -------
    dict of str to float
    """
    found: dict[str, float] = {}
    for instrument, lineages in measured.samples.items():
        for lineage, samples in lineages.items():
            found |= _of_lineage(instrument, lineage, samples, stable_month)
        found |= _between(instrument, lineages, stable_month)
    for (measure, lineage), rows in measured.clinical.items():
        found |= _of_clinic(measure, lineage, rows, stable_month)
    for number, (_, colonies, coalescences) in enumerate(measured.colonies):
        found[f"colonies.coalescent.{number}"] = logit((coalescences + 0.5) / (colonies + 1))
    return found


def of_sample(counts: np.ndarray, instrument: str) -> dict[str, float]:
    """Return the measures of one sample, on scales on which they spread evenly.

    How many reads a clone has is how deep the run was: of reads, what depends on their number is
    left out.
    """
    counts = counts if len(counts) else np.zeros(0)
    index = diversity(counts)
    none = not len(counts)
    found = {
        "richness": np.log1p(index["richness"]),
        "shannon": 0.0 if none else index["shannon"],
        "top1": 0.0 if none else np.log(index["top1"]),
        "top10": 0.0 if none else np.log(index["top10"]),
        "gini": 0.0 if none else index["gini"],
        "pielou": 0.0 if len(counts) < 2 else index["pielou"],
    }
    if instrument in COUNTED:
        once = np.mean(np.rint(counts) == 1) if len(counts) else 0.0
        found |= {
            "total": np.log1p(counts.sum()),
            "chao1": np.log1p(index["chao1"]),
            "singletons": float(once),
        }
    return {name: float(value) for name, value in found.items()}


TRENDS = ("richness", "shannon", "top1")


def _of_lineage(
    instrument: str, lineage: str, samples: Sequence[Sample], stable_month: float
) -> dict[str, float]:
    found: dict[str, float] = {}
    stable = [sample for sample in samples if sample.month >= stable_month]
    early = [sample for sample in samples if sample.month < stable_month]
    for window, chosen in ((EARLY, early), (STABLE, stable)):
        if chosen:
            each = [of_sample(sample.counts, instrument) for sample in chosen]
            for name in each[0]:
                found[f"{instrument}.{name}.{lineage}.{window}"] = float(np.mean([of[name] for of in each]))
            if window == STABLE and len(chosen) >= FEWEST_FOR_TREND:
                months = np.log([sample.month for sample in chosen])
                for name in TRENDS:
                    slope = np.polyfit(months, [of[name] for of in each], 1)[0]
                    found[f"{instrument}.{name}.{lineage}.trend"] = float(slope)
    if len(stable) >= 2:
        found |= _mean_of(instrument, lineage, "next", pairwise(stable), in_time)
    if len(stable) > 2:
        found |= _mean_of(instrument, lineage, "last", [(stable[0], stable[-1])], in_time)
    if early and stable:
        found |= _mean_of(instrument, lineage, "from_early", [(early[0], stable[-1])], alike)
    return found


def _between(
    instrument: str, lineages: Mapping[str, Sequence[Sample]], stable_month: float
) -> dict[str, float]:
    found: dict[str, float] = {}
    for one, other in combinations(sorted(lineages), 2):
        there = {sample.month: sample for sample in lineages[other]}
        pairs = [
            (sample, there[sample.month])
            for sample in lineages[one]
            if sample.month in there and sample.month >= stable_month
        ]
        if pairs:
            found |= _mean_of(instrument, f"{one}-{other}", STABLE, pairs, alike)
    return found


def _mean_of(
    instrument: str,
    whose: str,
    window: str,
    pairs: Iterable[tuple[Sample, Sample]],
    measure: Callable[[Sample, Sample], dict[str, float]],
) -> dict[str, float]:
    each = [measure(one, other) for one, other in pairs]
    return {
        f"{instrument}.{name}.{whose}.{window}": float(np.mean([of[name] for of in each])) for name in each[0]
    }


def alike(one: Sample, other: Sample) -> dict[str, float]:
    """Return how alike two samples are.

    ``shared``: Sorensen's share of clones in both, on the logit; ``morisita``: overlap of Morisita and
    Horn; ``correlation``: of square roots of shares over the clones of either.
    """
    _, at, there = np.intersect1d(one.clones, other.clones, assume_unique=True, return_indices=True)
    both, all_ = len(at), len(one.clones) + len(other.clones)
    p, q = (s.counts / s.counts.sum() if len(s.counts) else s.counts for s in (one, other))
    square = float((p**2).sum() + (q**2).sum())
    morisita = 2 * float(p[at] @ q[there]) / square if square else 0.0
    return {
        "shared": logit((2 * both + 1) / (all_ + 2)),
        "morisita": morisita,
        "correlation": _correlation(np.sqrt(p), np.sqrt(q), at, there),
    }


def _correlation(p: np.ndarray, q: np.ndarray, at: np.ndarray, there: np.ndarray) -> float:
    clones = len(p) + len(q) - len(at)
    if clones < 2 or not len(p) or not len(q):
        return 0.0
    mean_p, mean_q = p.sum() / clones, q.sum() / clones
    covariance = p[at] @ q[there] / clones - mean_p * mean_q
    spread = (p @ p / clones - mean_p**2) * (q @ q / clones - mean_q**2)
    return float(covariance / np.sqrt(spread)) if spread > 1e-18 else 0.0


def in_time(one: Sample, other: Sample) -> dict[str, float]:
    """Return how two samples of a lineage differ that follow one another.

    Beside what `alike` says: ``lincoln``, Chapman's estimate of the clones in all, on the logarithm;
    ``volatility``, the spread of the logarithm of a clone's change, of the clones seen twice and with
    enough counts.
    """
    both, at, there = np.intersect1d(one.clones, other.clones, assume_unique=True, return_indices=True)
    n, m = len(one.clones), len(other.clones)
    lincoln = np.log((n + 1) * (m + 1) / (len(both) + 1))
    before, after = one.counts[at], other.counts[there]
    deep = before + after >= DEEP
    change = np.log(after[deep] / before[deep])
    return {
        **alike(one, other),
        "lincoln": float(lincoln),
        "volatility": float(change.std()) if len(change) > 1 else 0.0,
    }


def _of_clinic(
    measure: str, lineage: str, rows: Sequence[tuple[float, float]], stable_month: float
) -> dict[str, float]:
    months = np.array([month for month, _ in rows], float)
    values = np.array([SCALES[measure](value) for _, value in rows])
    found = {}
    for window, chosen in ((EARLY, months < stable_month), (STABLE, months >= stable_month)):
        if chosen.any():
            found[f"clinic.{measure}.{lineage}.{window}"] = float(values[chosen].mean())
    return found


def logit(share: float) -> float:
    """Return ln(share / (1 - share))."""
    return float(np.log(share / (1 - share)))


# On which scale a clinical measure is averaged, and the least of it that is told from nothing.
SCALES: Mapping[str, Callable[[float], float]] = {
    "vcn": lambda value: float(np.log(max(value, LEAST_VCN))),
    "chimerism": lambda value: logit(min(max(value, LEAST_SHARE), 1 - LEAST_SHARE)),
    "count": lambda value: float(np.log(max(value, LEAST_COUNT))),
}
