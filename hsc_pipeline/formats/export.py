"""A simulated study as the field's files, with the truth beside them, to try other tools on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats import WRITERS, write
from hsc_pipeline.formats.assemble import PLACE, Options, Rows, assemble
from hsc_pipeline.formats.files import Header, whole_folder, write_table
from hsc_pipeline.formats.names import Lineages, posid, posids
from hsc_pipeline.formats.sheets import month_cell
from hsc_pipeline.formats.tables import NAME, Observations

# What each simulated sort would be called by its marker.
MARKERS = {"neutrophil": "CD15", "monocyte": "CD14", "b_cell": "CD19", "nk_cell": "CD56", "t_cell": "CD3"}
TISSUE = "PB"
TRUTH_FILE, SAMPLES_FILE = "truth.tsv.gz", "truth_samples.tsv"

# The tables of a study that an export reads, by stage.
READS = {
    "product": ("clones", "sites"),
    "engraftment": ("marrow", "clone_sizes", "driver_clones"),
    "blood": ("samples", "integration_sites"),
}
_OF_CLONE = ("corrected", "copies", "function", "driver", "insertional", "advantage_per_year")
_INSERTION = ["patient", "clone", "site"]
_TRUTH = [
    "arm",
    "patient",
    "subject",
    "true_clone",
    "site",
    "clone",
    "gene",
    "gene_class",
    "origin",
    "class",
    *_OF_CLONE,
    "acquired_driver",
    "found",
]
Tables = Mapping[str, pa.Table]


def export(
    study: str | Path,
    format: str,
    folder: str | Path,
    *,
    arms: Sequence[str] = (),
    patients: int | None = None,
) -> list[Path]:
    """Write a study that has run as files of the field, with its truth.

    Parameters
    ----------
    study : path
        ``results/<study>``.
    format : str
        ``isanalytics``, ``gt23``, ``barcodetrackr`` or ``long``.
    folder : path
        Where to write; it must not exist, or be empty.
    arms : sequence of str, optional
        All by default.
    patients : int, optional
        Only the first so many of each arm.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    UserError
        If there is no such study or arm, or it has no integration sites.
    """
    study, folder = Path(study), Path(folder)
    if format not in WRITERS or format == "airr":
        raise UserError(
            f"format: {format!r}; {suggest(format, [name for name in WRITERS if name != 'airr'])}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; name a new folder")
    return export_tables(read_study(study, arms, patients), study.name, format, folder)


def read_study(study: Path, arms: Sequence[str], patients: int | None) -> dict[str, Tables]:
    """Read what an export needs of a study, by arm."""
    known = sorted(path.parent.name for path in study.glob("blood/*/samples.parquet"))
    if not known:
        raise UserError(f"{study}: no study that has run; its blood/<arm>/samples.parquet is not there")
    for arm in arms:
        if arm not in known:
            raise UserError(f"{study}: no arm {arm!r}; {suggest(arm, known)}")
    chosen = None if patients is None else pc.field("patient") < patients
    return {
        arm: {
            name: pq.read_table(study / stage / arm / f"{name}.parquet", filters=chosen)
            for stage, names in READS.items()
            for name in names
        }
        for arm in (arms or known)
    }


def export_tables(arms: Mapping[str, Tables], study: str, format: str, folder: Path) -> list[Path]:
    """Write the tables of arms, as `chain.simulate_arm` returns them, in one format.

    Parameters
    ----------
    arms : mapping of str to mapping of str to pyarrow.Table
        The tables of `READS` by arm.
    study : str
    format : str
    folder : path
    """
    fragments, reads = observe(arms, study)
    both = [fragments, reads] if format in ("isanalytics", "gt23") else fragments
    with whole_folder(folder) as aside:
        made = [folder / path.relative_to(aside) for path in write(both, aside, format)]
        write_table(aside / TRUTH_FILE, truth(arms))
        write_table(aside / SAMPLES_FILE, _sample_truth(arms, study))
    return [*made, folder / TRUTH_FILE, folder / SAMPLES_FILE]


def observe(arms: Mapping[str, Tables], study: str) -> tuple[Observations, Observations]:
    """Return what the laboratory saw of all arms: by fragments and by reads, the same samples.

    Samples in which nothing was found are left out, as no laboratory hands over a file of them; they
    stand in the truth of samples.
    """
    if not any(tables["integration_sites"].num_rows for tables in arms.values()):
        raise UserError(
            f"{study}: no integration site was found in any sample; only vectors that insert leave any"
        )
    parts = [_seen(tables, arm, study) for arm, tables in arms.items()]
    options = Options(empty="drop")
    fragments, reads = (
        assemble([both[at] for both in parts], assay, Path(study), options)
        for at, assay in enumerate(("fragments", "reads"))
    )
    return fragments, reads


def _seen(tables: Tables, arm: str, study: str) -> tuple[Rows, Rows]:
    """Return fragments and reads by sample and site; two clones at one site are one to a laboratory."""
    found = tables["integration_sites"]
    index = _sample_index(tables["samples"], found)
    chromosome, position, strand, gene = (found[name].combine_chunks() for name in PLACE)
    clone = posids(chromosome, position, strand).dictionary_encode().cast(NAME)
    key = index * len(clone.dictionary) + clone.indices.to_numpy()
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    at = pa.array(first)
    rows = Rows(
        samples=list(_samples(tables["samples"], arm, study)),
        sample=index[first],
        clone=clone.take(at),
        count=np.bincount(inverse, weights=found["fragments"].to_numpy()),
        place={
            "chromosome": chromosome.take(at),
            "position": position.take(at),
            "strand": strand.take(at),
            "gene": gene.take(at),
        },
        head=Header(Path(arm), (), "\t"),
        row=first,
    )
    return rows, replace(rows, count=np.bincount(inverse, weights=found["reads"].to_numpy()))


def _sample_index(samples: pa.Table, found: pa.Table) -> np.ndarray:
    """Return the row in the table of samples of each row of sites."""
    number: np.ndarray = np.zeros(found.num_rows, np.int64)
    of_sample = np.zeros(samples.num_rows, np.int64)
    for name in ("patient", "month", "lineage"):
        values = samples[name].unique()
        number = number * len(values) + pc.index_in(found[name], values).to_numpy()
        of_sample = of_sample * len(values) + pc.index_in(samples[name], values).to_numpy()
    order = np.argsort(of_sample)
    return order[np.searchsorted(of_sample[order], number)]


def subject_name(arm: str, patient: int) -> str:
    """Return a subject that is unique across arms, such as ``trial_P0007``."""
    return f"{arm}_P{patient:04d}"


def _marker(lineage: str) -> str:
    return MARKERS.get(lineage, lineage)


def _sample_name(study: str, arm: str, row: Mapping) -> str:
    """Return a name such as ``was_trial_P0007_PB_CD15_M12``."""
    subject = subject_name(arm, row["patient"])
    return f"{study}_{subject}_{TISSUE}_{_marker(row['lineage'])}_M{month_cell(row['month'])}"


def _samples(table: pa.Table, arm: str, study: str) -> Iterator[dict]:
    """Yield rows of the samples of an arm as a laboratory would list them."""
    known = Lineages()
    for row in table.to_pylist():
        subject, marker = subject_name(arm, row["patient"]), _marker(row["lineage"])
        yield {
            "sample": _sample_name(study, arm, row),
            "subject": subject,
            "month": row["month"],
            "tissue": TISSUE,
            "marker": marker,
            "lineage": known.of(marker),
            "replicate": "1",
            "trial": study,
            "dna_ng": row["dna_ng"],
            "vcn": row["vcn_measured"],
            "other": {"PoolID": subject, "concatenatePoolIDSeqRun": subject},
        }


# The truth


def truth(arms: Mapping[str, Tables]) -> Iterator[pa.Table]:
    """Yield, patient by patient, the true clones that lived or were seen: a row an insertion.

    Columns: ``arm, patient, subject``; ``true_clone``, its number in the study; ``site`` within it;
    ``clone``, what the files call the insertion, empty if there is none; ``origin`` (stem_cell,
    thymic_progenitor, short_term); ``class`` (neutral, insertional, driver, insertional+driver, by what
    it was infused with); the columns of the product; ``acquired_driver``, whether one arose after
    infusion; ``found``, whether any sample shows it; and its stem cells at each visit.  Progenitors
    have none of what describes stem cells.
    """
    visits = {month for tables in arms.values() for month in tables["marrow"]["month"].to_pylist()}
    months = sorted(visits - {0.0})  # clones are first counted at the first visit
    for arm, tables in arms.items():
        for patient in pc.unique(tables["marrow"]["patient"]).to_pylist():
            yield _truth_of_patient(arm, _rows_of(tables, patient), months)


def _rows_of(tables: Tables, patient: int) -> Tables:
    """Return one patient's rows; those of a patient stand together, patients in order."""
    found = {}
    for name in (*READS["product"], *READS["engraftment"], "integration_sites"):
        numbers = tables[name]["patient"].to_numpy()
        low, high = np.searchsorted(numbers, [patient, patient + 1])
        found[name] = tables[name].slice(low, high - low)
    return found


def _truth_of_patient(arm: str, tables: Tables, months: Sequence[float]) -> pa.Table:
    import pandas as pd

    frames = {name: tables[name].to_pandas() for name in ("clones", "sites", "clone_sizes", "driver_clones")}
    seen = tables["integration_sites"].select([*_INSERTION, *PLACE, "origin"]).to_pandas()
    seen = seen.drop_duplicates(_INSERTION).assign(found=True)
    stem = _stem_cells(frames, seen, months)
    others = seen[seen["origin"] != "stem_cell"]
    frame = pd.concat([stem, others], ignore_index=True).sort_values(_INSERTION, kind="stable")
    subjects = [subject_name(arm, patient) for patient in frame["patient"]]
    frame = frame.assign(arm=arm, subject=subjects, found=frame["found"].eq(True))
    frame["clone_name"] = _posids(frame)
    names = {"clone": "true_clone", "clone_name": "clone"}
    order = [*_TRUTH, *(column for column in stem.columns if column.startswith("cells_month_"))]
    return pa.Table.from_pandas(frame.rename(columns=names)[order], preserve_index=False)


def _stem_cells(frames: Mapping, seen, months: Sequence[float]):
    """Return a row an insertion of the stem-cell clones that lived at a visit or were seen."""
    import pandas as pd

    key = ["patient", "clone"]
    sizes = frames["clone_sizes"].pivot(index=key, columns="month", values="cells").reindex(columns=months)
    of_stem = pd.MultiIndex.from_frame(seen.loc[seen["origin"] == "stem_cell", key].drop_duplicates())
    sizes = sizes.reindex(sizes.index.union(of_stem)).fillna(0).astype("Int64")
    sizes.columns = [f"cells_month_{month_cell(month)}" for month in months]
    clones = frames["clones"].set_index(key)[[*_OF_CLONE]]
    drivers = frames["driver_clones"].query("driver == -1 and clone >= 0")
    acquired = pd.MultiIndex.from_frame(drivers[key].drop_duplicates())
    stem = clones.reindex(sizes.index).join(sizes)
    stem["acquired_driver"] = stem.index.isin(acquired)
    stem["class"] = _classes(stem)
    sites = frames["sites"][[*_INSERTION, *PLACE, "gene_class"]]
    stem = stem.reset_index().merge(sites, on=key, how="left")
    stem = stem.merge(seen[[*_INSERTION, "found"]], on=_INSERTION, how="left")
    whole_numbers = {"copies": "Int64", "driver": "Int64", "position": "Int64", "site": "Int64"}
    return stem.assign(origin="stem_cell").astype(whole_numbers)


def _classes(stem):
    """Return the class of each clone, by what it carried when it was infused."""
    insertional, driver = stem["insertional"].astype(bool), stem["driver"] >= 0
    names = np.array(["neutral", "insertional", "driver", "insertional+driver"])
    return names[insertional.to_numpy(int) + 2 * driver.to_numpy(int)]


def _posids(frame) -> list[str]:
    """Return the names that the files give to insertions, empty where there is none."""
    has = frame["position"].notna()
    rows = zip(frame["chromosome"], frame["position"], frame["strand"], has, strict=True)
    return [posid(chromosome, position, strand) if yes else "" for chromosome, position, strand, yes in rows]


def _sample_truth(arms: Mapping[str, Tables], study: str) -> pa.Table:
    """Return every sample that was planned, with its state and what is true of it."""
    parts = []
    for arm, tables in arms.items():
        table = tables["samples"]
        rows = table.to_pylist()
        first = {
            "sample": [_sample_name(study, arm, row) for row in rows],
            "arm": [arm] * len(rows),
            "subject": [subject_name(arm, row["patient"]) for row in rows],
        }
        texts = {name: pa.array(values, pa.string()) for name, values in first.items()}
        parts.append(pa.table({**texts, **{name: table[name] for name in table.column_names}}))
    return pa.concat_tables(parts)
