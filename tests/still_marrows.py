"""A product and a marrow that stand still, for the tests of blood."""

import numpy as np

from hsc_pipeline.norms import Norms

# Counts without spread between people, visits or measurements.
QUIET = {
    "blood.visit_ln_sd": 0,
    "blood.visit_ln_sd.red_cell": 0,
    "conditioning.neutrophil_recovery_ln_sd": 0,
    "conditioning.platelet_recovery_ln_sd": 0,
    "lab.vcn_ln_sd": 0,
}
PRODUCT = {
    "infused": True,
    "cd34_per_kg": 1e7,
    "corrected_fraction": 0.8,
    "copies_per_corrected": 2.5,
    "function": 0.9,
    "lt_hsc_corrected": 1000,
}
LATE = 240.0


def norms_of(settings):
    return Norms(settings.rows("cell_norms"))


def constant_marrow(corrected, months, cells, copies=2.0, residual=None):
    """A marrow whose corrected share stands still."""
    share = np.full(len(months) + 1, cells)
    return {
        "month": np.array([0.0, *months]),
        "capacity": np.full(len(share), 10_000),
        "host": share - (share * corrected).astype(int),
        "uncorrected": np.zeros_like(share),
        "corrected": (share * corrected).astype(int),
        "copies_per_corrected": np.full(len(share), copies if corrected else np.nan),
        "function_per_corrected": np.full(len(share), 0.7 if corrected else np.nan),
        "residual_host_fraction": np.full(len(share), 1 - corrected if residual is None else residual),
    }
