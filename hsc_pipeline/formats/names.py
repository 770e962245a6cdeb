"""Words that the field's files use for one thing: columns, lineages, times, places of sites."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats.files import ABSENT, Spot, sheet

DAYS_PER_MONTH = 30.4167  # as gt23 and AAVengeR convert, see docs/formats.md
LONGEST_MONTHS = 600  # a later visit is taken for days

# Column names by what they mean, compared by `plain`.
MEANINGS: dict[str, tuple[str, ...]] = {
    "sample": (
        "sample",
        "samplename",
        "completeamplificationid",
        "gtsp",
        "specimenaccnum",
        "repertoireid",
        "sampleprocessingid",
    ),
    "subject": ("subject", "subjectid", "patient", "monkey", "mouse", "animal", "donor"),
    "tissue": ("tissue", "organ"),
    "lineage": ("lineage",),
    "marker": ("marker", "cellmarker", "celltype"),
    "replicate": ("replicate", "replicatenumber"),
    "trial": ("trial", "project", "projectid"),
    "dna_ng": ("dnang", "dnangused", "ngdna"),
    "vcn": ("vcn",),
    "clone": ("clone", "cloneid", "barcode", "posid"),
    "chromosome": ("chromosome", "chr", "seqnames"),
    "position": ("position", "integrationlocus"),
    "strand": ("strand",),
    "gene": ("gene", "genename", "nearestgene"),
}
TIMES: dict[str, tuple[str, ...]] = {
    "months": ("month", "months", "timepointmonths"),
    "days": ("day", "days", "timepointdays", "dayspostrtmnt", "daysposttrtmnt", "daysposttreatment"),
    "weeks": ("week", "weeks"),
    "code": ("timepoint",),
}
COUNTS: dict[str, tuple[str, ...]] = {
    "reads": ("reads", "readcount", "seqcount", "seqcountsum", "duplicatecount"),
    "fragments": (
        "fragments",
        "fragmentestimate",
        "fragmentestimatesum",
        "estabund",
        "soniclengths",
        "shscount",
    ),
    "cells": ("cells", "cellcount"),
    "barcodes": ("barcodes", "umis", "umicount", "rumis", "barcodecount"),
    "unstated": ("count", "value"),
}


def plain(name: str) -> str:
    """Return a column's name without case, spaces and joining marks."""
    return re.sub(r"[\s_.\-]+", "", name).casefold()


def find(names: Sequence[str], words: Iterable[str], path: Path, what: str) -> str | None:
    """Return the column among `names` that means one thing, None if there is none.

    Raises
    ------
    UserError
        If several do, and none has the first word as its name.
    """
    words = list(words)
    found = [name for name in names if plain(name) in words]
    exact = [name for name in found if plain(name) == words[0]]
    if len(found) > 1 and len(exact) != 1:
        raise UserError(f"{path}: the columns {', '.join(found)} all seem to hold the {what}; keep one")
    return (exact or found or [None])[0]


# Lineages


class Lineages:
    """Which lineage a marker stands for; unknown markers stand for themselves.

    Parameters
    ----------
    changes : mapping of str to str, or path, optional
        Markers and lineages of one's own, before those of ``lineages.csv``; or a table of them, with
        columns ``marker, lineage`` or, as ISAnalytics has it, ``CellMarker, HematoLineage``.
    """

    def __init__(self, changes: Mapping[str, str] | str | Path | None = None):
        if isinstance(changes, str | Path):
            changes = _lineage_table(Path(changes))
        own = {_marker(marker): lineage for marker, lineage in (changes or {}).items()}
        self._known = {**_standard(), **own}

    def of(self, marker: str) -> str:
        """Return the lineage of a marker."""
        return self._known.get(_marker(marker), marker)


def _marker(text: str) -> str:
    return re.sub(r"[\s_+\-]+", "", text).casefold()


@cache
def _standard() -> dict[str, str]:
    table = _lineage_table(Path(__file__).with_name("lineages.csv"))
    return {_marker(marker): lineage for marker, lineage in table.items()}


def _lineage_table(path: Path) -> dict[str, str]:
    head, rows = sheet(path)
    marker = find(head.names, ("marker", "cellmarker"), path, "marker")
    lineage = find(head.names, ("lineage", "hematolineage"), path, "lineage")
    if marker is None or lineage is None:
        raise UserError(f"{path}: a table of lineages has columns marker and lineage; found {head.shown()}")
    return {row[marker]: row[lineage] for _, row in rows}


# Times

UNITS = ("months", "days", "weeks")
_CODE = re.compile(r"([MYDW])(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", re.IGNORECASE)
_MONTHS_PER = {"m": 1.0, "y": 12.0, "d": 1 / DAYS_PER_MONTH, "w": 7 / DAYS_PER_MONTH}


def months(value: float, unit: str) -> float:
    """Return a time in months; from days and weeks to four places, four minutes.

    The rounding makes 365 days 12 months.
    """
    if unit == "months":
        return value
    days = value * {"days": 1, "weeks": 7}[unit]
    return round(days / DAYS_PER_MONTH, 4)


def code_months(text: str, where: Spot) -> float:
    """Return the months of a time such as ``M18.5``, ``Y3`` or ``D28``."""
    match = _CODE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{where}: {text[:40]!r} is not a time such as M18.5, Y3, W6 or D28")
    letter, value = match[1].lower(), float(match[2])
    return round(value * _MONTHS_PER[letter], 4) if letter in "dw" else value * _MONTHS_PER[letter]


def check_unit(unit: str | None) -> None:
    """Fail unless `unit` is a unit of time, or None."""
    if unit is not None and unit not in UNITS:
        raise UserError(f"time_unit: {unit!r}; {suggest(unit, list(UNITS))}")


def refuse_days(latest: float | None, unit: str, column: str, path: Path) -> None:
    """Fail if months run so late that they must be days."""
    if unit == "months" and latest is not None and latest > LONGEST_MONTHS:
        raise UserError(
            f"{path}, column {column}: runs to {latest:g} months, so it seems to be in days; "
            "say time_unit='days'"
        )


# Places

# AAVengeR adds the group of leader sequences after a full stop.
_PLACE = re.compile(r"(?:(?:chr)?([0-9]{1,2}|X|Y|M|MT)|chr(\w+))([+-])([0-9]{1,10})(?:\.[0-9]+)?")


def posid(chromosome: str, position: int, strand: str) -> str:
    """Return the name of an integration site, such as ``chr10-103758677``."""
    return f"chr{chromosome}{strand}{position}"


def place(name: str) -> tuple[str, int, str] | None:
    """Return chromosome, position and strand of a posid, None if it is none."""
    match = _PLACE.fullmatch(name)
    return None if match is None else (match[1] or match[2], int(match[4]), match[3])


def posids(chromosome: pa.Array, position: pa.Array, strand: pa.Array) -> pa.Array:
    """Return `posid` of many sites."""
    text = pc.cast(position, pa.string())
    return pc.binary_join_element_wise(
        "chr", chromosome.cast(pa.string()), strand.cast(pa.string()), text, ""
    )


class Prefix:
    """Takes the prefix ``chr`` off chromosomes, and fails where some have it and others have not."""

    def __init__(self, path: Path, column: str):
        self._where = f"{path}, column {column}"
        self._seen: dict[bool, str] = {}

    def strip(self, chromosomes: pa.Array) -> pa.Array:
        """Return chromosomes without prefix."""
        values = pc.unique(chromosomes).cast(pa.string()).to_pylist()
        for value in values:
            self._seen.setdefault((value or "").startswith("chr"), value)
        if len(self._seen) == 2:
            raise UserError(
                f"{self._where}: {self._seen[True]!r} has the prefix chr, {self._seen[False]!r} has not; "
                "write all alike"
            )
        text = chromosomes.cast(pa.string())
        return pc.utf8_slice_codeunits(text, 3) if True in self._seen else text


def check_strand(strand: pa.Array, path: Path, column: str) -> None:
    """Fail on a strand that is neither + nor -."""
    odd = [value for value in pc.unique(strand).to_pylist() if value not in ("+", "-")]
    if odd:
        raise UserError(f"{path}, column {column}: {odd[0]!r}; allowed: + and -")


def numeric(text: Iterable[str]) -> bool:
    """Whether all texts are numbers or absent."""
    try:
        return all(np.isfinite(float(cell)) for cell in text if cell not in ABSENT)
    except ValueError:
        return False
