"""What the report reads: every table as far as the figures need it, so that memory stays bounded."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hsc_pipeline.blood import COUNTS, INTEGRATION_SITES, READOUTS
from hsc_pipeline.catalogue import tables as catalogue_tables
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW, TRANSFORMATIONS
from hsc_pipeline.immunity import TABLES as IMMUNITY
from hsc_pipeline.immunity.ranges import SCORE_RANGES
from hsc_pipeline.manifest import checksum
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.plan import PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS
from hsc_pipeline.report.style import label
from hsc_pipeline.tables import Table, read_patients, turns

MOST_ARMS = 12  # drawn; every arm stays in outcomes.csv
# Patients are independent draws, so the first of them are a fair sample.
MOST_PATIENTS = 1000  # of a table with a few rows a patient and visit
LAST_PATIENT = 2**31 - 1  # of a table of a few patients anywhere in the arm
MOST_PATIENTS_BY_CLONE = 60  # of a table with thousands
MOST_ARMS_BY_CLONE = 4
FOLLOWED = {"median": 0.5, "10th centile": 0.1, "90th centile": 0.9}

TABLES: dict[str, tuple[Table, int]] = {
    "patients": (PATIENTS, MOST_PATIENTS),
    "products": (PRODUCTS, MOST_PATIENTS),
    "clones": (CLONES, MOST_PATIENTS_BY_CLONE),
    "marrow": (MARROW, MOST_PATIENTS),
    "transformations": (TRANSFORMATIONS, MOST_PATIENTS),
    "counts": (COUNTS, MOST_PATIENTS),
    "readouts": (READOUTS, MOST_PATIENTS),
    "integration_sites": (INTEGRATION_SITES, MOST_PATIENTS_BY_CLONE),
    **{name: (IMMUNITY[name], MOST_PATIENTS) for name in IMMUNITY if name != "clone_clonotypes"},
    "score_ranges": (SCORE_RANGES, LAST_PATIENT),
}


@dataclass(frozen=True)
class Results:
    """A run as the report sees it; arms go by the names that readers see.

    Attributes
    ----------
    study : dict
        Content of ``study.yaml``.
    all_arms, arms : list of str
        Every arm, and those that are drawn.
    outcomes : pandas.DataFrame
        `OUTCOMES` of all patients of the arms that are drawn.
    tables : mapping of str to pandas.DataFrame
        Each with ``arm``, of the first patients.
    sites : pandas.DataFrame
        Insertions counted by arm, chromosome and gene, of the patients read by clone.
    clone_sizes : pandas.DataFrame
        Of the patients in `followed`, in the first `MOST_ARMS_BY_CLONE` arms.
    followed : mapping of int to str
        Patients whose clones are drawn, and by what rule each was chosen; the median one first.
    answers : mapping of str to DataFrame
        Tables of models and trials by the name of their file; an empty one where there is no file.
    checksums : mapping of str to str
        SHA-256 of the study and of the outcomes, by the name of their file.
    """

    study: dict
    all_arms: list[str]
    arms: list[str]
    outcomes: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    sites: pd.DataFrame
    clone_sizes: pd.DataFrame
    followed: Mapping[int, str]
    answers: Mapping[str, pd.DataFrame]
    checksums: Mapping[str, str]

    @property
    def patients(self) -> int:
        """Virtual patients in each arm."""
        return self.study["patients"]

    @property
    def drawn(self) -> int:
        """Patients of each arm in the figures over time."""
        return min(self.patients, MOST_PATIENTS)

    @property
    def arms_by_clone(self) -> list[str]:
        """Arms in the figures of the clones of one patient."""
        return self.arms[:MOST_ARMS_BY_CLONE]

    @property
    def drawn_by_clone(self) -> int:
        """Patients of each arm in the figures of clones."""
        return min(self.patients, MOST_PATIENTS_BY_CLONE)

    def values(self, arm: str) -> dict[str, float | str]:
        """Return the study's values as they hold in an arm, by name."""
        shared = {name: value["value"] for name, value in self.study["values"].items()}
        return shared | self.arm(arm)["set"]

    @property
    def catalogue_tables(self) -> dict[str, list]:
        """Return the rows of the catalogue's tables, the study's own genes in their place."""
        own = {"genes": self.study["genes"]} if "genes" in self.study else {}
        return {name: table["rows"] for name, table in catalogue_tables().items()} | own

    def arm(self, arm: str) -> dict:
        """Return what ``study.yaml`` says of an arm."""
        return {label(entry["name"]): entry for entry in self.study["arms"]}[arm]


def read_results(study: dict, arms: Sequence[str], files: Mapping) -> Results:
    """Read what the report needs; see `write_report` for `files`."""
    shown = list(arms)[:MOST_ARMS]
    outcomes = OUTCOMES.read(files["outcomes"]).to_pandas()
    outcomes = outcomes[outcomes["arm"].isin(shown)].replace({"arm": {arm: label(arm) for arm in shown}})
    tables = {
        name: read_arms(table, files[name], shown, (0, most - 1)) for name, (table, most) in TABLES.items()
    }
    chosen = followed(outcomes[outcomes["arm"] == label(shown[0])])
    few = shown[:MOST_ARMS_BY_CLONE]
    sizes = [read_arms(CLONE_SIZES, files["clone_sizes"], few, (one, one)) for one in list(chosen) or [0]]
    return Results(
        study=study,
        all_arms=[label(arm) for arm in arms],
        arms=[label(arm) for arm in shown],
        outcomes=outcomes,
        tables=tables,
        sites=count_sites(files["sites"], shown),
        clone_sizes=pd.concat(sizes, ignore_index=True),
        followed=chosen,
        answers=read_answers(files["answers"]),
        checksums={Path(files[name]).name: checksum(files[name]) for name in ("study", "outcomes")},
    )


def read_answers(paths: Sequence[str | Path]) -> Mapping[str, pd.DataFrame]:
    """Read tables of models and trials by the name of their file."""
    found = {Path(path).stem: pd.read_csv(path) for path in paths if Path(path).suffix == ".csv"}
    return defaultdict(pd.DataFrame, found)


def read_arms(
    table: Table, paths: Sequence[str | Path], arms: Sequence[str], patients: tuple[int, int]
) -> pd.DataFrame:
    """Return the rows of the first to the last of some patients of every arm, with ``arm``."""
    parts = [
        table.read(path, patients).to_pandas().assign(arm=label(arm))
        for path, arm in zip(paths[: len(arms)], arms, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def count_sites(paths: Sequence[str | Path], arms: Sequence[str]) -> pd.DataFrame:
    """Count the insertions of the first patients of each arm by chromosome, gene and its class.

    Some patients at a time: a cohort's sites are millions.
    """
    by = ["chromosome", "gene", "gene_class"]
    parts = []
    for path, arm in zip(paths[: len(arms)], arms, strict=True):
        for some in turns((0, MOST_PATIENTS_BY_CLONE - 1)):
            sites = read_patients(path, some)
            counts = sites.group_by(by).aggregate([("deregulates", "count"), ("deregulates", "sum")])
            parts.append(counts.to_pandas().assign(arm=label(arm)))
    found = pd.concat(parts, ignore_index=True)
    found = found.rename(columns={"deregulates_count": "insertions", "deregulates_sum": "deregulating"})
    return found.groupby(["arm", *by], sort=False)[["insertions", "deregulating"]].sum().reset_index()


def followed(outcomes: pd.DataFrame) -> dict[int, str]:
    """Return patients whose clones are worth a look, by the centile of their corrected stem cells.

    Those with clones are asked, and of them those whose blood the report reads by clone, so that
    their samples are at hand.
    """
    known = outcomes[(outcomes["live_clones"] > 0) & (outcomes["patient"] < MOST_PATIENTS_BY_CLONE)]
    ordered = known.sort_values(["stem_cell_chimerism", "patient"])["patient"].tolist()
    chosen: dict[int, str] = {}
    for name, share in FOLLOWED.items():
        if ordered:
            chosen.setdefault(ordered[round(share * (len(ordered) - 1) - 1e-9)], name)
    return chosen
