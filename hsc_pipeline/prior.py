"""What is uncertain, and the law of an uncertain value over its range in the catalogue."""

import numpy as np

LOG_FROM = 5  # a range as wide as this is drawn on its logarithm
# Beginnings of the names of values with a range that people choose: who is enrolled, what is given,
# what is sampled, and what is called success or alarm.  Nature does not draw them.
CHOSEN = (
    "alarm.",
    "benefit.",
    "cohort.",
    "conditioning.busulfan_auc",
    "lab.amplicon_reads",
    "lab.blood_ml",
    "lab.ddpcr_ng",
    "lab.least_dna_ng",
    "lab.reads_per_fragment",
    "manufacture.backup_cd34_per_kg",
    "manufacture.least_cd34_per_kg",
    "manufacture.most_harvests",
    "manufacture.rescue_below_stem_cells",
    "product.cd34_per_kg",
    "score.",
)


def within(u: np.ndarray, least: float, most: float, whole: bool = False) -> np.ndarray:
    """Return the values of a range at quantiles `u`: uniform, on the logarithm of a wide range.

    Parameters
    ----------
    u : array of float
        From 0 to 1.
    least, most : float
    whole : bool
        Round to whole numbers.
    """
    if least > 0 and most / least >= LOG_FROM:
        value = least * (most / least) ** u
    else:
        value = least + (most - least) * u
    return np.round(value) if whole else value
