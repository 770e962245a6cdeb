"""Random numbers: one stream per patient and quantity, derived, never sequential.

A stream follows from the study's seed, the patient and the name of the quantity drawn, so that
adding an arm, a patient or a draw elsewhere shifts nobody's numbers and jobs can be any size.
The arm is left out of the path: the same virtual patient under each arm shares its streams
(common random numbers), unless the study asks for independent arms.
"""

from zlib import crc32

import numpy as np


def patient_seed(study_seed: int, patient: int, arm: str | None = None) -> int:
    """Return the 64-bit seed of one virtual patient; `arm` only where arms are independent."""
    path = (patient,) if arm is None else (patient, crc32(arm.encode()))
    return int(np.random.SeedSequence(study_seed, spawn_key=path).generate_state(1, np.uint64)[0])


def sequence(seed: int, quantity: str) -> np.random.SeedSequence:
    """Return the seed sequence of one quantity of one patient."""
    return np.random.SeedSequence(seed, spawn_key=(crc32(quantity.encode()),))


def stream(seed: int, quantity: str) -> np.random.Generator:
    """Return the generator of one quantity (``"product.copies"``) of one patient."""
    return np.random.default_rng(sequence(seed, quantity))


def spread(seed: int, quantity: str, ln_sd: float) -> float:
    """Draw a patient's log-normal factor, with median one."""
    return float(np.exp(ln_sd * stream(seed, quantity).standard_normal()))
