"""The graft: harvests, the dose that is reached, and its long-term stem cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10, tanh

import numpy as np

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream


@dataclass(frozen=True)
class Graft:
    """What making the product came to.

    Attributes
    ----------
    harvests : int
    cd34_per_kg : float
        CD34+ cells per kg released; 0 if the patient was given up.
    backup_cd34_per_kg : float
        Unmodified cells kept frozen.
    months_to_infusion : float or None
        From enrolment; None if never infused.
    """

    harvests: int
    cd34_per_kg: float
    backup_cd34_per_kg: float
    months_to_infusion: float | None


NO_GRAFT = Graft(0, 0.0, 0.0, None)


def make_graft(seed: int, settings: Settings) -> Graft:
    """Harvest and manufacture until the least dose is reached or the patient is given up.

    The product of each harvest is released or fails; released ones are pooled (a split
    manufacture).  Intention to treat counts the patients who end without an infusion.
    """
    if settings["product.modification"] == "none":
        return NO_GRAFT
    most = int(settings["manufacture.most_harvests"])
    # All harvests are drawn, made or not, so that arms with other limits share the first ones.
    deviation = settings["product.cd34_ln_sd"] * stream(seed, "product.harvests").standard_normal(most)
    yields = settings["product.cd34_per_kg"] * np.exp(deviation)
    luck = stream(seed, "product.released").random(most)
    released = luck >= settings["manufacture.failure_probability"]
    pooled = np.cumsum(yields * released)
    enough = np.flatnonzero(pooled >= settings["manufacture.least_cd34_per_kg"])
    backup = settings["manufacture.backup_cd34_per_kg"]
    if not len(enough):
        return Graft(most, 0.0, backup, None)
    last = int(enough[0])
    months = settings["manufacture.months_to_infusion"] + last * settings["manufacture.months_per_harvest"]
    return Graft(last + 1, float(pooled[last]), backup, months)


def lt_hsc_frequency(seed: int, donor_age: float, settings: Settings) -> float:
    """Draw one patient's long-term stem cells per CD34+ cell; at most one.

    Log-normal between patients, times the ratio of the source, falling with the donor's age.
    """
    factor = 10 ** (
        settings["product.lt_hsc_log10_sd"] * stream(seed, "product.lt_hsc_frequency").standard_normal()
    )
    source = settings[f"product.lt_hsc_ratio.{settings['product.source']}"]
    return min(1.0, settings["product.lt_hsc_per_cd34"] * source * factor * age_ratio(donor_age, settings))


def age_ratio(donor_age: float, settings: Settings | Mapping) -> float:
    """Return the frequency at an age against that of young donors.

    Falls from 1 to ``product.lt_hsc_old_ratio``, as a logistic curve of its logarithm.
    """
    width = settings["product.lt_hsc_old_width"]
    late = (1 + tanh((donor_age - settings["product.lt_hsc_old_age"]) / width / 2)) / 2
    return float(10 ** (late * log10(settings["product.lt_hsc_old_ratio"])))
