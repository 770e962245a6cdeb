"""Studies, settings and patients that the tests share."""

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import settings as hypothesis_settings

from hsc_pipeline import chain
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study

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


# Files that take minutes, the longest first, so that none of them is left for the end.
LONGEST = ("test_workflow", "test_calibration_workflow", "test_faults", "test_points")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


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
        "genotype_class": "missense",
        "donor_age_years": 20.0,
        "busulfan_auc": 80.0,
    }


@pytest.fixture(scope="session")
def simulate_arm(settings_for) -> Callable[..., dict[str, pd.DataFrame]]:
    """``simulate_arm({value name: number}, patients)``: every table of one arm, as the stages write them."""

    def simulate(changes: dict[str, float] | None = None, patients: int = 12) -> dict[str, pd.DataFrame]:
        study = load_study({**STUDY, "patients": patients, "set": changes or {}})
        return {name: table.to_pandas() for name, table in chain.simulate_arm(study, "trial").items()}

    return simulate
