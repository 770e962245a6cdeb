"""Virtual patients share random streams across arms, and the gain is measured."""

import numpy as np
import pytest

from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.plan import plan_events, plan_patients
from hsc_pipeline.product import make_products
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import by_patient

PATIENTS = 60


def chimerism(independent):
    """Corrected stem-cell chimerism at month 12, shape (2 arms, patients)."""
    study = load_study(
        {
            "kind": "study",
            "schema_version": 1,
            "name": "contrast",
            "seed": 11,
            "disease": "was",
            "patients": PATIENTS,
            "visits_months": [12],
            "independent_arms": independent,
            "set": {
                "product.lt_hsc_per_cd34": 6e-6,
                "marrow.capacity_adult": 1e4,
                "marrow.capacity_birth": 1e3,
            },
            "arms": [{"name": "full"}, {"name": "low", "set": {"conditioning.busulfan_auc": 30}}],
        }
    )
    found = []
    for arm in study.arms:
        plan, product, marrow = (
            Settings(**study.settings(stage, arm)) for stage in ("plan", "product", "engraftment")
        )
        patients = plan_patients(range(PATIENTS), plan, arm).to_pylist()
        made = list(make_products(patients, product))
        products = {p["patient"]: m["products"].to_pylist()[0] for p, m in zip(patients, made, strict=True)}
        clones, drivers = (
            {n: by_patient(m[name], [n])[n] for n, m in zip(products, made, strict=True)}
            for name in ("clones", "drivers")
        )
        events = by_patient(plan_events(patients, plan), products)
        parts = engraft_patients(patients, products, clones, drivers, events, marrow)
        rows = [part["marrow"].to_pylist()[-1] for part in parts]
        found.append([r["corrected"] / (r["host"] + r["uncorrected"] + r["corrected"]) for r in rows])
    return np.array(found)


@pytest.fixture(scope="module")
def contrasts():
    """Chimerism of the full arm less that of the low arm, by patient: with shared and independent streams."""
    return {independent: np.subtract(*chimerism(independent)) for independent in (False, True)}


def test_shared_streams_shrink_the_variance_of_an_arm_contrast(contrasts):
    # Measured: 5.8, so independent arms need about six times the patients for the same precision.
    # The log of the ratio of two sample variances of 60 has sd sqrt(4/59) = 0.26: with no gain at all,
    # 2.5 would be passed in 2 of 10,000 seeds; with a gain of 5.8, it is missed in 1 of 1,000.
    assert contrasts[True].var() / contrasts[False].var() > 2.5


def test_the_same_patient_stands_in_each_arm_unless_arms_are_independent():
    # r of 60 independent pairs has sd 0.13: 0.55 and -0.55 are z = 4.2 (false alarms below 1e-4).
    shared, apart = (
        np.corrcoef(np.log(chimerism(independent) + 1e-4))[0, 1] for independent in (False, True)
    )
    assert shared > 0.55
    assert abs(apart) < 0.55
