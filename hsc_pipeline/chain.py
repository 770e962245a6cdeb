"""The chain in memory: one arm from the plan to the scores, for tests, validation and fits."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from hsc_pipeline.blood import bleed_patients
from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import plan_events, plan_patients
from hsc_pipeline.product import make_products
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import Study
from hsc_pipeline.tables import by_patient


def simulate_arm(study: Study, arm: str, patients: Sequence[int] | None = None) -> dict[str, pa.Table]:
    """Return every table that the stages from `plan` to `immunity` write for one arm.

    The rules of the workflow run the same functions batch by batch, so the rows are the same.

    Parameters
    ----------
    study : Study
    arm : str
    patients : sequence of int, optional
        Numbers of the patients; all of the study by default.

    Returns
    -------
    dict of str to pyarrow.Table
        By the name of the table.
    """
    numbers = range(study.file.patients) if patients is None else patients
    settings = {stage: Settings(**study.settings(stage, arm)) for stage in STAGES}
    return simulate(settings, arm, numbers)


def simulate(
    settings: Mapping[str, Settings], arm: str, numbers: Sequence[int], immunity: bool = True
) -> dict[str, pa.Table]:
    """Return the same of some patients under settings by stage, without `immunity` up to the blood."""

    def split(tables: Mapping[str, pa.Table], *names: str) -> list[dict]:
        return [by_patient(tables[name], numbers) for name in names]

    plan = plan_patients(numbers, settings["plan"], arm)
    rows = plan.to_pylist()
    happens = plan_events(rows, settings["plan"])
    made = join(make_products(rows, settings["product"]))
    products = {row["patient"]: row for row in made["products"].to_pylist()}
    clones, sites, drivers = split(made, "clones", "sites", "drivers")
    events = by_patient(happens, numbers)
    marrow = join(engraft_patients(rows, products, clones, drivers, events, settings["engraftment"]))
    stem, sizes = split(marrow, "marrow", "clone_sizes")
    blood = join(bleed_patients(rows, products, clones, sites, stem, sizes, events, settings["blood"]))
    before = {"events": happens, **made, **marrow, **blood}
    scores = join(assess_patients(rows, before, settings["immunity"])) if immunity else {}
    return {"patients": plan, **before, **scores}


def join(parts: Iterable[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Join the tables of patients by name."""
    parts = list(parts)
    return {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
