"""The thymus: corrected progenitors that settle where it is empty, and those that turn malignant.

A patient whose own progenitors cannot become thymocytes has room for infused ones, which make T
cells for years without any stem cell in the marrow.  An insertion that deregulates an oncogene in
one of them can end as T-cell leukaemia, as in the first trials without conditioning.
"""

from collections.abc import Mapping

import numpy as np

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream


def settle_in_thymus(patient: Mapping, product: Mapping, settings: Settings) -> int:
    """Draw how many corrected progenitors settle in a thymus that has room for them.

    Parameters
    ----------
    patient, product : mapping
        Rows of `plan.PATIENTS` and `product.PRODUCTS`.
    settings : Settings
        Values ``thymus.`` and ``disease.thymic_niches_free``.
    """
    infused = product["cd34_per_kg"] * patient["weight_kg"] * settings["thymus.seeding_per_cd34"]
    expected = infused * product["corrected_fraction"] * settings["disease.thymic_niches_free"]
    return int(stream(patient["patient_seed"], "engraftment.thymus").poisson(expected))


def deregulated_per_copy(settings: Settings) -> float:
    """Return the chance that an insertion of the product's vector deregulates an oncogene; 0 without one."""
    if "vector.promoter" not in settings.values:
        return 0.0
    at_oncogenes = sum(row[2] for row in settings.rows("genes") if row[1] == "oncogene")
    activated = settings[f"genotoxicity.activated_fraction.{settings['vector.promoter']}"]
    return at_oncogenes * settings["vector.oncogene_ratio"] * activated


def thymic_leukaemias(
    patient: Mapping, product: Mapping, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which settled progenitors end in leukaemia, and when.

    Insertions deregulate an oncogene at random; such a progenitor turns with a set chance, after a
    gamma-distributed time.

    Returns
    -------
    progenitor : array of int
        Number among those settled, in order of time.
    year : array of float
    """
    settled = settle_in_thymus(patient, product, settings)
    per_copy = deregulated_per_copy(settings)
    if not settled or not per_copy:
        return np.zeros(0, np.int64), np.zeros(0)
    rng = stream(patient["patient_seed"], "engraftment.thymic_leukaemia")
    hit = -np.expm1(-per_copy * product["copies_per_corrected"])
    turned = np.flatnonzero(rng.random(settled) < hit * settings["genotoxicity.thymic_leukaemia"])
    shape = settings["genotoxicity.thymic_latency_shape"]
    year = (
        rng.standard_gamma(shape, len(turned)) * settings["genotoxicity.thymic_latency_months"] / shape / 12
    )
    order = np.argsort(year, kind="stable")
    return turned[order], year[order]
