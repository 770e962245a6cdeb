"""Simulate study.yaml and write its small tables in each format: python config/tracking_example/make.py."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.formats import Observations, write
from hsc_pipeline.formats.assemble import sample_table
from hsc_pipeline.formats.export import SAMPLES_FILE, TRUTH_FILE, export_tables, observe, subject_name
from hsc_pipeline.formats.files import write_sheet, write_table
from hsc_pipeline.formats.tables import CLONES
from hsc_pipeline.study import load_study
from hsc_pipeline.yaml_files import read_yaml

HERE = Path(__file__).parent
FORMATS = ("long", "isanalytics", "gt23", "barcodetrackr")
VCN_LIMIT = 0.005  # copies per cell, the limit of detection of the example's series
COLONIES = 120  # sequenced of each patient, all from corrected stem cells
CLONOTYPES = 150  # of each repertoire; drawn from a log-normal, as the pipeline simulates no receptors


def main(folder: Path) -> None:
    """Write all tables below a folder."""
    file = HERE / "study.yaml"
    study = load_study(read_yaml(str(file)), str(file))
    (arm,) = study.arms
    tables = simulate_arm(study, arm)
    for format_ in FORMATS:
        shutil.rmtree(folder / format_, ignore_errors=True)
        export_tables({arm: tables}, study.file.name, format_, folder / format_)
        for name in (TRUTH_FILE, SAMPLES_FILE):  # one truth is enough
            (folder / format_ / name).replace(folder / name)
    fragments, reads = observe({arm: tables}, study.file.name)
    write_aavenger(folder / "aavenger_sites.tsv.gz", fragments, reads)
    write(repertoires(np.random.default_rng(study.file.seed)), folder / "airr", "airr")
    write_clinical(folder / "clinical.tsv", tables["counts"], arm)
    write_colonies(
        folder / "colonies.tsv", tables["clone_sizes"], arm, np.random.default_rng(study.file.seed)
    )


def write_aavenger(path: Path, fragments: Observations, seen: Observations) -> None:
    """Write the sites of the first subject as AAVengeR has them, each of one group of leader sequences."""
    first = pc.equal(fragments.clones["subject"].cast(pa.string()), fragments.samples["subject"][0])
    clones, reads = fragments.clones.filter(first), seen.clones.filter(first)
    posid = pa.array([f"{name}.1" for name in clones["clone"].to_pylist()])
    write_table(
        path,
        pa.table(
            {
                "subject": clones["subject"],
                "sample": clones["sample"],
                "posid": posid,
                "sonicLengths": clones["count"].cast(pa.int64()),
                "reads": reads["count"].cast(pa.int64()),
                "nearestGene": clones["gene"],
            }
        ),
    )


def repertoires(rng: np.random.Generator) -> Observations:
    """Return clonotypes of two repertoires that share half of them."""
    samples = [
        {"sample": f"rep_M{month}", "subject": subject_name("trial", 0), "month": float(month)}
        for month in (12, 24)
    ]
    samples = [{**row, "tissue": "PB", "marker": "CD3", "lineage": "T"} for row in samples]
    rows = [
        (sample, f"clonotype_{number}", 1.0 + np.floor(rng.lognormal(1, 1.2)))
        for sample, first in zip(samples, (0, CLONOTYPES // 2), strict=True)
        for number in range(first, first + CLONOTYPES)
    ]
    of = {
        name: [row[0][name] for row in rows] for name in ("subject", "month", "tissue", "lineage", "sample")
    }
    blank = dict.fromkeys(("chromosome", "strand", "gene"), [""] * len(rows))
    names = {"clone": [row[1] for row in rows], "count": [row[2] for row in rows]}
    clones = CLONES.build({**of, **blank, **names, "position": [None] * len(rows)})
    return Observations(clones, sample_table(samples), "reads")


def write_clinical(path: Path, counts: pa.Table, arm: str) -> None:
    """Write copies per cell as measured, and counts, of some lineages."""
    rows = []
    for row in counts.to_pylist():
        if row["lineage"] not in ("neutrophil", "b_cell", "cd4_t"):
            continue
        of = {
            "subject": subject_name(arm, row["patient"]),
            "month": f"{row['month']:g}",
            "lineage": row["lineage"],
        }
        vcn, below = row["vcn_measured"], row["vcn_measured"] < VCN_LIMIT
        value = VCN_LIMIT if below else round(vcn, 3)
        flag = str(below).lower()
        rows.append(
            {**of, "measure": "vcn", "value": f"{value:g}", "unit": "copies/cell", "below_limit": flag}
        )
        count = {"measure": "count", "value": f"{row['count_per_ul']:.0f}", "unit": "cells/uL"}
        rows.append({**of, **count, "below_limit": "false"})
    names = ("subject", "month", "measure", "lineage", "value", "unit", "below_limit")
    write_sheet(path, names, sorted(rows, key=lambda row: row["measure"]))


def write_colonies(path: Path, sizes: pa.Table, arm: str, rng: np.random.Generator) -> None:
    """Write how many of some stem cells, sampled at the last visit, share a founder."""
    frame = sizes.to_pandas()
    last = frame[frame["month"] == frame["month"].max()]
    rows = []
    for patient, clones in last.groupby("patient"):
        sampled = rng.multivariate_hypergeometric(clones["cells"], COLONIES, method="marginals")
        shared = COLONIES - np.count_nonzero(sampled)
        of = {"subject": subject_name(arm, patient), "month": f"{clones['month'].iloc[0]:g}"}
        rows.append({**of, "colonies": str(COLONIES), "coalescences": str(shared)})
    write_sheet(path, ("subject", "month", "colonies", "coalescences"), rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
