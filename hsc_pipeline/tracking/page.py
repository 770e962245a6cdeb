"""The report of a tracking run: one page, of the same make as that of a study."""

from collections.abc import Mapping

import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.formats import Observations
from hsc_pipeline.privacy import HASHED, Pseudonyms, key_of
from hsc_pipeline.report.page import Figure, Section, Text, TextTable, render
from hsc_pipeline.tables import replacing
from hsc_pipeline.tracking import figures
from hsc_pipeline.tracking.blocks import same, table
from hsc_pipeline.tracking.findings import clinical, dominance, flagged, planning, sites, stem_cells
from hsc_pipeline.tracking.run import FEWEST
from hsc_pipeline.tracking.sections import clones, diversity, lineages
from hsc_pipeline.tracking.series import read_observations
from hsc_pipeline.tracking.settings import BESIDE

NOT_SHOWN = ("seen",)


def write_page(path: str, tidy: Mapping[str, str], tables: Mapping[str, str], settings: Mapping) -> None:
    """Write the report.

    Parameters
    ----------
    path : str
    tidy : mapping of str to str
        Files of `series.read_observations`.
    tables : mapping of str to str
        Parquet of each topic, and CSV of what `cleaning.clean` found.
    settings : mapping
        The filled `settings.TrackingFile`.
    """
    observations = read_observations(**tidy)
    found = {name: _read(file) for name, file in tables.items() if name not in NOT_SHOWN}
    if settings["privacy"]["identifiers"] == HASHED:
        observations, found, settings = hidden(observations, found, settings, tidy)
    sections = [
        quality(observations, found, settings),
        clones(observations, found, settings),
        diversity(found, settings),
        lineages(found, settings),
        stem_cells(found, settings),
        clinical(found),
        dominance(found),
        flagged(observations, found),
        sites(found),
        planning(found),
        provenance(observations, settings),
    ]
    page = render(head_of(settings, observations), [section for section in sections if section.blocks])
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def hidden(observations, found: Mapping, settings: Mapping, tidy: Mapping[str, str]) -> tuple:
    """Return the same with pseudonyms of subjects, samples, clones and files, of `privacy`."""
    pseudonyms = Pseudonyms(key_of(tidy["clones"], tidy["samples"]))
    clones = pseudonyms.names(observations.clones)
    observations = Observations(clones, pseudonyms.names(observations.samples), observations.assay)
    return observations, {k: pseudonyms.frame(v) for k, v in found.items()}, pseudonyms.settings(settings)


def _read(file: str) -> pd.DataFrame:
    return pd.read_parquet(file) if file.endswith(".parquet") else pd.read_csv(file, keep_default_na=False)


def head_of(settings: Mapping, observations) -> dict[str, object]:
    """Return what the page says before its sections; see `report.page.render`."""
    subjects = len(set(observations.samples["subject"].to_pylist()))
    samples = observations.samples.num_rows
    return {
        "title": settings["title"] or settings["name"],
        "study": settings["name"],
        "kicker": f"Clonal tracking {settings['name']} · {observations.assay}",
        "subtitle": f"{samples} samples of {subjects} subject{'s' if subjects > 1 else ''}.",
        "version": __version__,
        "footer": "Statistics of the tables given; not a diagnosis; not a medical device.",
        "arms": [],
        "colours": {},
    }


def quality(observations, found: Mapping, settings: Mapping) -> Section:
    """Return what was read: samples, clones and depth by subject and lineage."""
    rows = found["diversity"]
    grouped = rows.groupby(["subject", "tissue", "lineage"], sort=True, dropna=False)
    seen = grouped.agg(
        samples=("sample", "size"),
        first=("month", "min"),
        last=("month", "max"),
        clones=("richness", "median"),
        depth=("total", "median"),
    ).reset_index()
    columns = {
        **same("subject", "tissue", "lineage", "samples"),
        **{"first": "first month", "last": "last month", "clones": "clones, median"},
        "depth": f"{observations.assay}, median",
    }
    seen = seen.astype({"clones": float, "depth": float})
    blocks: list = [table(seen, columns, "What was read: a row a series of samples.")]
    drawn = rows[rows["total"] > 0]
    if len(drawn):
        blocks.append(_depths(drawn, observations.assay))
    remarks = " ".join(_remarks(observations, found, settings))
    return Section("tables", "Tables", "The tables, as they were read", [*blocks, Text(remarks, quiet=True)])


def _depths(rows: pd.DataFrame, assay: str) -> Figure:
    caption = (
        "A dot a sample: clones against counts, logarithmic. On the dashed line every count is another "
        "clone, so most clones are still unseen, and any index of diversity measures the depth."
    )
    label = "Dots of clones against counts of every sample, a panel a lineage."
    return Figure("depths", "How deep the samples are", caption, label, figures.depths(rows, assay))


def _remarks(observations, found: Mapping, settings: Mapping) -> list[str]:
    rows, near, shared = found["diversity"], found["near_sites"], found["collisions"]
    small, timeless = int((rows["total"] < FEWEST).sum()), int(rows["month"].isna().sum())
    said = [f"{small} of {len(rows)} samples hold fewer than {FEWEST} counts and say little."]
    if timeless:
        said.append(f"{timeless} samples have no month: they stand in the table of diversity alone.")
    if observations.assay in ("reads", "unstated"):
        said.append(
            "Counts of reads are not counts of cells: comparison at one depth, multilineage fractions, "
            "drift or selection and planning are left out, and Chao1 has no interval."
        )
    if observations.clones["position"].null_count < observations.clones.num_rows:
        done = "merged" if settings["sites"]["near"] == "merge" else "left alone"
        said.append(f"Sites near a larger one of the same subject: {len(near)}, {done}.")
        doubtful = int((shared["kept"].astype(str) != "True").sum())
        done = "removed" if settings["sites"]["collisions"] == "remove" else "left alone"
        pairs = shared["clone"].nunique()
        said.append(
            f"Sites found in several subjects: {pairs}, with {doubtful} subjects that may not own them, "
            f"{done}."
        )
    wanted = settings["stem_cells"]
    held = rows[(rows["lineage"] == wanted["lineage"]) & (rows["tissue"] == wanted["tissue"])]
    if held.empty:
        names = sorted(
            {f"{row.lineage or 'not stated'} of {row.tissue or 'not stated'}" for row in rows.itertuples()}
        )
        said.append(
            f"No sample is {wanted['lineage']!r} of {wanted['tissue']!r}, as stem_cells wants: the number "
            f"of stem cells and what follows from it are left out. There are: {', '.join(names)}."
        )
    return said


def provenance(observations, settings: Mapping) -> Section:
    """Return what was read and how."""
    rows = [
        [entry["path"], entry["format"] or "found out", entry["assay"] or observations.assay]
        for entry in settings["tables"]
    ]
    rows += [[settings[name], name, ""] for name in BESIDE if settings[name]]
    marrow = settings["stem_cells"]
    words = (
        f"Stem cells are read in {marrow['lineage'] or 'samples without lineage'} of "
        f"{marrow['tissue'] or 'tissue not stated'} from month {marrow['from_month']:g} on, "
        f"{marrow['copies_per_cell']:g} copies a cell where no subject has its own, {marrow['marked']:,.0f} "
        f"marked stem cells assumed. hsc_pipeline {__version__}, seed {settings['seed']}. Every table is a "
        "CSV and a Parquet file in the folder tracking; manifest.json holds their checksums."
    )
    blocks = [TextTable("Tables read.", ["table", "format", "assay"], rows), Text(words, quiet=True)]
    return Section("provenance", "Provenance", "Provenance", blocks)
