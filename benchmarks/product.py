"""Stages of the chain as engines: what the product costs beside the engraftment that it feeds.

The chain is imported by the engine that needs it: the other engines' processes hold only their own.
"""

from collections.abc import Callable
from contextlib import suppress
from unittest.mock import patch

from tasks import STAGES_LT_HSC, Task

CD34_PER_KG, KG = 9e6, 61.0  # weight at 16 years, the same for all
STUDY = {
    "kind": "study",
    "schema_version": 1,
    "name": "benchmark",
    "seed": 1,
    "disease": "was",
    "visits_months": [1, 2, 3, 6, 9, 12, 18, 24, 36, 48, 60],
    "arms": [{"name": "trial", "product": "was_lentiviral"}],
    "set": {
        "cohort.age_median": 16,
        "cohort.age_ln_sd": 0,
        "cohort.weight_ln_sd": 0,
        "product.cd34_per_kg": CD34_PER_KG,
        "product.cd34_ln_sd": 0,
        "product.lt_hsc_per_cd34": STAGES_LT_HSC / (CD34_PER_KG * KG),
        "product.lt_hsc_log10_sd": 0,
        "manufacture.failure_probability": 0,
    },
}


class Stage:
    """One stage, on what the stages before it have made; every run simulates the same patients.

    Parameters
    ----------
    task : Task

    Attributes
    ----------
    replicates : int
        Patients simulated by one run.
    """

    function: str

    def __init__(self, task: Task):
        self.task, self.replicates = task, task.batch
        self.simulate = _call_of(self.function, task.batch)

    def run(self, seed: int) -> None:
        """Simulate all patients; `seed` is the study's own."""
        for _ in self.simulate():
            pass


class ProductStage(Stage):
    """From CD34+ cells to clones with their insertions."""

    function = "make_products"


class EngraftmentStage(Stage):
    """From clones of the product to clones of the marrow at every visit."""

    function = "engraft_patients"


class _ReachedError(Exception):
    """The chain came to the stage that was asked for."""


def _call_of(function: str, patients: int) -> Callable:
    """Return the call of a stage as the chain makes it, the stages before it done."""
    from hsc_pipeline import chain
    from hsc_pipeline.study import load_study

    stage, found = getattr(chain, function), []

    def reached(*arguments, **named):
        found.append(lambda: stage(*arguments, **named))
        raise _ReachedError

    with patch.object(chain, function, reached), suppress(_ReachedError):
        chain.simulate_arm(load_study({**STUDY, "patients": patients}), "trial")
    return found[0]
