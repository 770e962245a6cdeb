"""Studies, settings and patients that the tests share."""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import settings as hypothesis_settings

from hsc_pipeline.blood import bleed_patients
from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import plan_patients
from hsc_pipeline.product import make_products
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import by_patient

hypothesis_settings.register_profile("repository", deadline=None, derandomize=True, max_examples=50)
hypothesis_settings.load_profile("repository")

STUDY = {
    "kind": "study",
    "schema_version": 1,
    "name": "law",
    "seed": 20261122,
    "disease": "was",
    "patients": 12,
    "visits_months": [1, 3, 6, 12, 24, 60],
    "arms": [{"name": "trial"}],
}


@pytest.fixture(scope="session")
def study() -> dict:
    """The content of a small study file."""
    return dict(STUDY)


@pytest.fixture(scope="session")
def settings_for() -> Callable[..., Settings]:
    """``settings_for(stage, {value name: number}, study key=...)``: settings of the study's only arm."""

    def make(stage: str, changes: dict[str, float] | None = None, **keys: object) -> Settings:
        filled = load_study({**STUDY, **keys, "set": changes or {}})
        return Settings(**filled.settings(stage, "trial"))

    return make


@pytest.fixture(scope="session")
def patient() -> dict:
    """A grown patient, whose marrow no longer grows, under an exposure that leaves 1 % of the host."""
    return {
        "patient": 0,
        "patient_seed": 7,
        "age_years": 20.0,
        "weight_kg": 70.0,
        "null_genotype": False,
        "donor_age_years": 20.0,
        "busulfan_auc": 80.0,
    }


@pytest.fixture(scope="session")
def simulate_arm(settings_for) -> Callable[..., dict[str, pd.DataFrame]]:
    """``simulate_arm({value name: number}, patients)``: every table of one arm, as the stages write them."""

    def gathered(parts: list[dict[str, pa.Table]]) -> dict[str, pa.Table]:
        return {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}

    def simulate(changes: dict[str, float] | None = None, patients: int = 12) -> dict[str, pd.DataFrame]:
        stage = {
            name: settings_for(name, changes)
            for name in ("plan", "product", "engraftment", "blood", "immunity")
        }
        numbers = range(patients)
        plan = plan_patients(numbers, stage["plan"], "trial")
        rows = plan.to_pylist()
        made = gathered(list(make_products(rows, stage["product"])))
        products = {row["patient"]: row for row in made["products"].to_pylist()}
        clones, sites = by_patient(made["clones"], numbers), by_patient(made["sites"], numbers)
        marrow = gathered(list(engraft_patients(rows, products, clones, stage["engraftment"])))
        taken = (by_patient(marrow[name], numbers) for name in ("marrow", "clone_sizes"))
        blood = gathered(list(bleed_patients(rows, products, *taken, sites, stage["blood"])))
        immunity = gathered(
            list(assess_patients(rows, by_patient(blood["counts"], numbers), stage["immunity"]))
        )
        tables = {"patients": plan, **made, **marrow, **blood, **immunity}
        return {name: table.to_pandas() for name, table in tables.items()}

    return simulate
