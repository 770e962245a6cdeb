"""A patient's data as the fit takes them: what was measured, and the design under which it was."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from hsc_pipeline.calibration.plans import Calibration
from hsc_pipeline.calibration.statistics import SCALES, Measured, Sample
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats import Observations

# Which simulated sort a lineage of a table is; `whole` is every cell with a nucleus.
SORTS: Mapping[str, str] = {
    "Myeloid": "neutrophil",
    "B": "b_cell",
    "T": "t_cell",
    "NK": "nk_cell",
    "Other": "whole",
    "": "whole",
}
PLATELETS = "Megakaryo"  # counted by the clinic, never sequenced
LAST_MONTH = 240.0  # of a study
LEAST_SAMPLES = 2
UNCOUNTED = ("T",)  # tables count CD4+ and CD8+ cells, and the readers call both T


@dataclass(frozen=True)
class Tube:
    """A sample to simulate: its sort, and the DNA that was used.

    Attributes
    ----------
    lineage, sort : str
    month : float
    tubes : int
        Tubes or replicates that the tables hold of it; together they are one sample.
    dna_ng : float or None
        Of all of them; None where a table does not say, and then the catalogue's is drawn.
    """

    lineage: str
    sort: str
    month: float
    tubes: int
    dna_ng: float | None


@dataclass(frozen=True)
class Design:
    """When and how one patient was sampled.

    Attributes
    ----------
    tubes : mapping of str to list of Tube
        By instrument.
    saturates : mapping of str to bool
        Whether an instrument counts distinct lengths, of which there are few; an estimate that corrects
        for it does not.
    clinical : list of (measure, lineage, month, limit)
        The limit of detection is 0 where none is known.
    colonies : list of (month, colonies)
    """

    tubes: Mapping[str, Sequence[Tube]]
    saturates: Mapping[str, bool]
    clinical: Sequence[tuple[str, str, float, float]] = ()
    colonies: Sequence[tuple[float, int]] = ()

    @property
    def months(self) -> list[float]:
        """Every month of something measured, ascending."""
        found = {tube.month for tubes in self.tubes.values() for tube in tubes}
        found |= {row[2] for row in self.clinical} | {row[0] for row in self.colonies}
        return sorted(found)

    def as_dict(self) -> dict:
        """Return it as JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping) -> "Design":
        """Return what `as_dict` gave."""
        return cls(
            {name: [Tube(**tube) for tube in tubes] for name, tubes in content["tubes"].items()},
            dict(content["saturates"]),
            [tuple(row) for row in content["clinical"]],
            [tuple(row) for row in content["colonies"]],
        )


@dataclass(frozen=True)
class Patient:
    """One patient's data, and what of them is not used."""

    design: Design
    measured: Measured
    remarks: Sequence[str] = field(default_factory=list)


def read_patients(calibration: Calibration) -> list[Patient]:
    """Read the tables of a calibration file and take the patients out of them.

    Raises
    ------
    UserError
        Of a reader; for a subject that is in no table; for a patient with fewer than two samples that
        a fit can use.
    """
    from hsc_pipeline import formats

    file = calibration.file
    instruments = read_instruments(calibration)
    clinical = formats.read_clinical(file.clinical).to_pylist() if file.clinical else []
    colonies = formats.read_colonies(file.colonies).to_pylist() if file.colonies else []
    known = sorted({name for one in instruments for name in one.samples["subject"].to_pylist()})
    sorts = {**SORTS, **file.sorts}
    found = []
    for place, patient in enumerate(file.patients):
        name = patient.subject
        if name not in known:
            raise UserError(f"patients[{place}]: {name!r} is in no table; {suggest(name, known)}")
        found.append(
            take(
                name,
                instruments,
                [row for row in clinical if row["subject"] == name],
                [row for row in colonies if row["subject"] == name],
                file.tissue,
                sorts,
            )
        )
        samples = max(len(tubes) for tubes in found[-1].design.tubes.values())
        if samples < LEAST_SAMPLES:
            raise UserError(
                f"patients[{place}]: {name!r} has {samples} sample{'s' if samples != 1 else ''} of "
                f"{file.tissue or 'tissue not stated'} that can be used; a fit needs at least "
                f"{LEAST_SAMPLES}, as change over time and between lineages is what it is made from"
            )
    return found


def read_instruments(calibration: Calibration) -> list[Observations]:
    """Read the tables of clones, those of one assay as one.

    Raises
    ------
    UserError
        Of a reader, and for counts of which nobody says what they count.
    """
    from hsc_pipeline import formats

    several: dict[str, list[Observations]] = {}
    only = [patient.subject for patient in calibration.file.patients]
    for place, table in enumerate(calibration.file.tables):
        given = table.model_dump(mode="json")
        given["lineages"] = given["lineages"] or None
        if len(calibration.file.tables) == 1 and not given["subject"]:
            given["subjects"] = given["subjects"] or only
        read = formats.read(**given)
        if read.assay == "unstated":
            raise UserError(
                f"tables[{place}]: {table.path} does not say what its counts are; "
                "give assay: reads, fragments, cells or barcodes"
            )
        several.setdefault(read.assay, []).append(read)
    return [formats.combine(*of) for _, of in sorted(several.items())]


def take(
    subject: str,
    instruments: Sequence[Observations],
    clinical: Sequence[Mapping],
    colonies: Sequence[Mapping],
    tissue: str,
    sorts: Mapping[str, str],
) -> Patient:
    """Take one patient out of the tables."""
    samples, tubes, saturates, remarks = {}, {}, {}, []
    for observations in instruments:
        own = _tubes(subject, observations, tissue, sorts, remarks)
        name = observations.assay
        tubes[name] = [own[key] for key in sorted(own)]
        samples[name], whole = _samples(subject, observations, tissue, own)
        saturates[name] = name == "fragments" and whole
    series, limits = _clinical(clinical, remarks)
    counted = sorted(
        (row["month"], row["colonies"], row["coalescences"])
        for row in colonies
        if row["month"] is not None and 0 < row["month"] <= LAST_MONTH
    )
    if len(counted) < len(colonies):
        remarks.append(f"{len(colonies) - len(counted)} rows of colonies have no month and are not used.")
    design = Design(tubes, saturates, limits, [(month, n) for month, n, _ in counted])
    return Patient(design, Measured(samples, series, counted), remarks)


def _tubes(
    subject: str, observations: Observations, tissue: str, sorts: Mapping[str, str], remarks: list[str]
) -> dict[tuple[str, float], Tube]:
    """Return what was sampled by lineage and month."""
    found: dict[tuple[str, float], list[Mapping]] = {}
    left: dict[str, int] = {}
    for row in observations.samples.select(["subject", "tissue", "lineage", "month", "dna_ng"]).to_pylist():
        if row["subject"] != subject:
            continue
        reason = _unused(row, tissue, sorts)
        if reason:
            left[reason] = left.get(reason, 0) + 1
        else:
            found.setdefault((row["lineage"], row["month"]), []).append(row)
    remarks += [f"{n} samples of {observations.assay} {reason} are not used." for reason, n in left.items()]
    return {
        (lineage, month): Tube(lineage, sorts[lineage], month, len(rows), _dna(rows))
        for (lineage, month), rows in found.items()
    }


def _unused(row: Mapping, tissue: str, sorts: Mapping[str, str]) -> str:
    if row["tissue"] not in (tissue, ""):
        return f"of {row['tissue']}"
    if row["lineage"] not in sorts:
        return f"of {row['lineage']}"
    if row["month"] is None:
        return "without a month"
    if not 0 < row["month"] <= LAST_MONTH:
        return f"before infusion or after month {LAST_MONTH:g}"
    return ""


def _dna(rows: Sequence[Mapping]) -> float | None:
    known = [row["dna_ng"] for row in rows]
    return None if any(dna is None for dna in known) else float(sum(known))


def _samples(
    subject: str, observations: Observations, tissue: str, tubes: Mapping[tuple[str, float], Tube]
) -> tuple[dict[str, list[Sample]], bool]:
    """Return samples by lineage, tubes of a month together, and whether every count is whole."""
    rows = observations.clones.select(["subject", "tissue", "lineage", "month", "clone", "count"]).to_pandas()
    rows = rows[(rows["subject"] == subject) & rows["tissue"].isin([tissue, ""])]
    number = rows["clone"].cat.codes.to_numpy()
    whole = bool((rows["count"] == np.rint(rows["count"])).all())
    samples: dict[str, list[Sample]] = {}
    for lineage, month in sorted(tubes):
        here = ((rows["lineage"] == lineage) & (rows["month"] == month)).to_numpy()
        clones, at = np.unique(number[here], return_inverse=True)
        counts = np.bincount(at, rows["count"].to_numpy(float)[here], len(clones))
        samples.setdefault(lineage, []).append(Sample(month, clones.astype(np.int64), counts))
    return samples, whole


def _clinical(rows: Sequence[Mapping], remarks: list[str]) -> tuple[dict, list]:
    """Return series by measure and lineage, values at least the limit of detection, and the limits."""
    used = [row for row in rows if _counts(row) and 0 < row["month"] <= LAST_MONTH]
    if len(used) < len(rows):
        remarks.append(
            f"{len(rows) - len(used)} of {len(rows)} rows of the clinical table are not used: of other "
            "measures, units or lineages than the model has, or from before infusion."
        )
    limit: dict[str, float] = {}
    for row in used:
        if row["below_limit"]:
            limit[row["measure"]] = max(limit.get(row["measure"], 0.0), _in_units(row))
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    design = []
    for row in sorted(used, key=lambda r: (r["measure"], r["lineage"], r["month"])):
        least = limit.get(row["measure"], 0.0)
        key = (row["measure"], row["lineage"])
        series.setdefault(key, []).append((row["month"], max(_in_units(row), least)))
        design.append((*key, row["month"], least))
    return series, design


UNITS: Mapping[str, Mapping[str, float]] = {
    "vcn": {"copies/cell": 1.0},
    "chimerism": {"fraction": 1.0, "%": 0.01},
    "count": {"cells/uL": 1.0, "/uL": 1.0, "10^9/L": 1000.0, "10e9/L": 1000.0, "G/L": 1000.0},
}


def _in_units(row: Mapping) -> float:
    return row["value"] * UNITS[row["measure"]][row["unit"]]


def _counts(row: Mapping) -> bool:
    """Whether the model has what a row measured."""
    measure, lineage = row["measure"], row["lineage"]
    if measure not in SCALES or row["unit"] not in UNITS[measure]:
        return False
    if measure == "count":
        return lineage == PLATELETS or (SORTS.get(lineage, "whole") != "whole" and lineage not in UNCOUNTED)
    return lineage in SORTS
