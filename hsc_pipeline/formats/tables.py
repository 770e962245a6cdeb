"""The one tidy form of what the field's files hold: clones, samples, clinical series, phylogenies."""

from dataclasses import dataclass

import pyarrow as pa

from hsc_pipeline.tables import Column, Table

# What a count counts.  They are different instruments: never compared, added or averaged.
ASSAYS = {
    "reads": "sequencing reads",
    "fragments": "fragments of distinct shear length; the sonic estimate, fractional by nature",
    "cells": "cells",
    "barcodes": "molecular barcodes (UMIs)",
    "unstated": "whatever the file counts, which it does not say",
}
ESTIMATES = ("fragments",)  # their counts need not be whole

NAME = pa.dictionary(pa.int32(), pa.string())

_SUBJECT = Column(NAME, "", "person or animal; unique across trials and arms")
_MONTH = Column(pa.float64(), "months", "after infusion; empty if not stated", nullable=True)
_LINEAGE = Column(NAME, "", "blood lineage of the sorted cells; empty text if not stated")
_TISSUE = Column(NAME, "", "such as PB or BM; empty text if not stated")

CLONES = Table(
    "clones",
    ("sample", "clone"),
    {
        "subject": _SUBJECT,
        "month": _MONTH,
        "tissue": _TISSUE,
        "lineage": _LINEAGE,
        "sample": Column(NAME, "", "name of the sample, a row of the table of samples"),
        "clone": Column(NAME, "", "integration site (posid, such as chr10-103758677), barcode or clonotype"),
        "count": Column(pa.float64(), "", "in what the assay counts; above 0", 0),
        "chromosome": Column(NAME, "", "without prefix; empty text for a clone without a site"),
        "position": Column(pa.int64(), "bp", "1-based; empty for a clone without a site", 0, nullable=True),
        "strand": Column(NAME, "", "+ or -; empty text for a clone without a site"),
        "gene": Column(NAME, "", "in or nearest to the site; empty text if none is named"),
    },
)

SAMPLES = Table(
    "samples",
    ("sample",),
    {
        "sample": Column(pa.string(), "", "name of the sample; a tube, or a replicate of one"),
        "subject": Column(pa.string(), "", "person or animal; unique across trials and arms"),
        "month": _MONTH,
        "tissue": Column(pa.string(), "", "such as PB or BM; empty text if not stated"),
        "lineage": Column(pa.string(), "", "blood lineage of the sorted cells; empty text if not stated"),
        "marker": Column(pa.string(), "", "what the cells were sorted by, as the file spells it"),
        "replicate": Column(pa.string(), "", "number of the replicate; empty text if not stated"),
        "trial": Column(pa.string(), "", "trial or project; empty text if not stated"),
        "dna_ng": Column(pa.float64(), "ng", "DNA used", 0, nullable=True),
        "vcn": Column(pa.float64(), "copies/cell", "vector copies per cell", 0, nullable=True),
        "other": Column(pa.map_(pa.string(), pa.string()), "", "further columns of the file, by their name"),
    },
)

CLINICAL = Table(
    "clinical",
    ("subject", "month", "measure", "lineage"),
    {
        "subject": Column(pa.string(), "", "person or animal"),
        "month": Column(pa.float64(), "months", "after infusion"),
        "measure": Column(pa.string(), "", "such as chimerism, vcn, count or titre"),
        "lineage": Column(pa.string(), "", "blood lineage, or empty text"),
        "value": Column(pa.float64(), "", "in `unit`; the limit of detection where below it"),
        "unit": Column(pa.string(), "", "of the value"),
        "below_limit": Column(pa.bool_(), "", "whether the measurement is below the limit of detection"),
    },
)

COLONIES = Table(
    "colonies",
    ("subject", "month", "sample"),
    {
        "subject": Column(pa.string(), "", "person or animal"),
        "month": _MONTH,
        "sample": Column(pa.string(), "", "name of the sample, or empty text"),
        "colonies": Column(pa.int64(), "colonies", "sequenced colonies in the phylogeny", 1),
        "coalescences": Column(
            pa.int64(), "", "coalescences after infusion: colonies less distinct founders", 0
        ),
    },
)


@dataclass(frozen=True)
class Observations:
    """Clones seen in samples by one assay.

    Attributes
    ----------
    clones : pyarrow.Table
        `CLONES`; names are dictionary-encoded.
    samples : pyarrow.Table
        `SAMPLES`, a row a sample, those without a clone included.
    assay : str
        One of `ASSAYS`.
    """

    clones: pa.Table
    samples: pa.Table
    assay: str


def whole_array(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column of names as one array under one dictionary, in which no name stands twice."""
    if column.num_chunks == 0:
        return pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    whole = column.unify_dictionaries().combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
