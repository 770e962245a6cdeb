"""Simulated worlds: each is one draw of all that is uncertain in the catalogue.

In a world every study has patients of its own, and every cohort the published size as far as its
study simulates as many.  Draws are by name of the value, so a world has the same values in every study
in which they are possible together.  Worlds with a negative number have the catalogue's own values.
"""

from collections.abc import Iterator, Mapping, Sequence

import measures  # the module beside this one
import numpy as np
import pandas as pd
import pyarrow as pa

from hsc_pipeline.chain import join, simulate
from hsc_pipeline.ensembles import uncertain_ranges
from hsc_pipeline.errors import ModelError, UserError
from hsc_pipeline.immunity.infection import infection_patient
from hsc_pipeline.immunity.reconstitution import reconstitute
from hsc_pipeline.points import at_point, draw_uncertain
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import Study, load_study
from hsc_pipeline.tables import by_patient

ARM = "arm"
SUMMARIES = {
    "median": np.median,
    "mean": np.mean,
    "least": np.min,
    "most": np.max,
    "ln_sd": lambda values: np.std(np.log(values), ddof=1),
}


class Frames(dict):
    """Tables as data frames, turned into them when first asked for."""

    def __init__(self, tables: Mapping[str, pa.Table]):
        super().__init__()
        self._tables = tables

    def __missing__(self, name: str) -> pd.DataFrame:
        self[name] = self._tables[name].to_pandas()
        return self[name]


def study_of(content: Mapping, seed: int) -> Study:
    """Return the study of one entry of published.yaml."""
    whole = {
        "kind": "study",
        "schema_version": 1,
        "name": "validation",
        "seed": seed,
        "patients": 1,
        "uncertainty": {"draws": 0},
        "arms": [{"name": ARM}],
        **content,
    }
    return load_study(whole, "validation/published.yaml")


def drawn_values(study: Study, worlds: int, seed: int) -> tuple[dict[str, Settings], dict[str, np.ndarray]]:
    """Return the settings of a study by stage, and each uncertain value in every world."""
    settings = {stage: Settings(**study.settings(stage, ARM)) for stage in STAGES}
    ranges = uncertain_ranges({ARM: study.arms[ARM].values}, [])[ARM]
    return settings, draw_uncertain(ranges, worlds, seed, settings)


def simulate_cohorts(
    entry: Mapping, rows: Sequence[Mapping], worlds: int, seed: int, first: int, last: int
) -> Iterator[dict]:
    """Yield ``row``, ``world``, ``value`` and ``failed`` of the rows of one study.

    The value is NaN where no patient has it, and where the values of a world turn out to be impossible
    together; then ``failed`` says why.

    Parameters
    ----------
    entry : mapping
        Of ``studies`` in published.yaml.
    rows : sequence of mapping
        Of that study.
    worlds, seed : int
        How many worlds there are.
    first, last : int
        Worlds to simulate; below 0 at the catalogue's own values.
    """
    settings, drawn = drawn_values(study_of(entry["content"], seed), worlds, seed)
    patients = entry["simulated"]
    for world in range(first, last + 1):
        values = {name: float(of[world]) for name, of in drawn.items()} if world >= 0 else {}
        here = at_point(settings, values)
        place = world if world >= 0 else worlds - 1 - world
        numbers = range(place * patients, (place + 1) * patients)
        try:
            tables = simulate(here, ARM, numbers, immunity=False)
            if entry.get("immunity"):
                tables |= immunity(tables, here["immunity"], numbers)
        except (ModelError, UserError) as error:
            nothing = {"world": world, "value": float("nan"), "failed": str(error)}
            yield from ({"row": row["id"], **nothing} for row in rows)
            continue
        frames = Frames(tables)
        for row in rows:
            value = summary(row, measured(row, frames), list(numbers))
            yield {"row": row["id"], "world": world, "value": value, "failed": ""}


def immunity(tables: Mapping[str, pa.Table], settings: Settings, numbers: Sequence[int]) -> dict:
    """Return the parts of immunity that rows ask for: reconstitution and infections."""
    names = ("products", "clones", "marrow", "clone_sizes", "counts", "events")
    of = {name: by_patient(tables[name], numbers) for name in names}
    found = []
    for patient in tables["patients"].to_pylist():
        own = tables_of(of, patient["patient"])
        part = reconstitute(patient, own, settings)
        found.append({**part, **infection_patient(patient, {**own, **part}, settings)})
    return join(found)


def tables_of(of: Mapping[str, Mapping], number: int) -> dict[str, pa.Table]:
    """Return one patient's tables."""
    return {name: pa.table(tables[number]) for name, tables in of.items()}


def measured(row: Mapping, tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Return a row's measure, patient by patient."""
    asked = dict(row["statistic"])
    return getattr(measures, asked.pop("name"))(tables, **asked)


def summary(row: Mapping, values: pd.Series, numbers: Sequence[int]) -> float:
    """Return what a cohort of the published size shows: its first patients, those who have the measure."""
    held = values.reindex(numbers[: row["patients"]]).dropna().to_numpy(float)
    return float(SUMMARIES[row.get("summary", "median")](held)) if len(held) else float("nan")
