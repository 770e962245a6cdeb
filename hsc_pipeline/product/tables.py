"""The tables of the stage: what leaves the clean room, and what is inside."""

import pyarrow as pa

from hsc_pipeline.tables import Column, Table

_PATIENT = Column(pa.int32(), "", "number of the virtual patient", 0)
_CLONE = Column(pa.int32(), "", "long-term stem cell of the product that is corrected or carries a driver", 0)

PRODUCTS = Table(
    "products",
    ("patient",),
    {
        "patient": _PATIENT,
        "infused": Column(pa.bool_(), "", "whether anything was infused; else nobody was conditioned"),
        "harvests": Column(pa.int16(), "", "harvests of CD34+ cells tried", 0),
        "months_to_infusion": Column(
            pa.float64(), "months", "from enrolment; empty if never infused", 0, None, True
        ),
        "cd34_per_kg": Column(pa.float64(), "cells/kg", "CD34+ cells infused", 0),
        "cd34_cells": Column(pa.float64(), "cells", "CD34+ cells infused", 0),
        "backup_lt_hsc": Column(pa.int64(), "cells", "long-term stem cells of the unmodified reserve", 0),
        "mean_copies": Column(
            pa.float64(), "copies/cell", "vector copies (VCN), or alleles with the intended edit, per cell", 0
        ),
        "corrected_fraction": Column(pa.float64(), "", "cells of the product that are corrected", 0, 1),
        "copies_per_corrected": Column(
            pa.float64(), "copies/cell", "copies or edited alleles per corrected cell of the product", 0
        ),
        "function": Column(
            pa.float64(), "of normal", "protein or effect of a corrected cell of the product, 1 in health", 0
        ),
        "lt_hsc": Column(pa.int64(), "cells", "long-term stem cells that engraft under full conditioning", 0),
        "lt_hsc_corrected": Column(pa.int64(), "cells", "those that are corrected", 0),
    },
)

CLONES = Table(
    "clones",
    ("patient", "clone"),
    {
        "patient": _PATIENT,
        "clone": _CLONE,
        "corrected": Column(pa.bool_(), "", "whether the modification corrects (or protects) the cell"),
        "copies": Column(pa.int16(), "copies", "vector copies, or alleles with the intended edit", 0),
        "edit": Column(pa.string(), "", "the two alleles of an edited cell, such as intended/indel"),
        "rearrangement": Column(pa.string(), "", "off_target or translocation, empty for all others"),
        "function": Column(pa.float64(), "of normal", "protein or effect of the cell, 1 in health", 0),
        "driver": Column(pa.int32(), "", "driver mutation that the cell carries, else -1", -1),
        "insertional": Column(pa.bool_(), "", "whether an insertion deregulates an oncogene"),
        "advantage_per_year": Column(
            pa.float64(), "1/year", "growth advantage by insertion and driver together"
        ),
    },
)

SITES = Table(
    "sites",
    ("patient", "clone", "site"),
    {
        "patient": _PATIENT,
        "clone": _CLONE,
        "site": Column(pa.int16(), "", "number of the insertion within the cell", 0),
        "chromosome": Column(pa.string(), "", "GRCh38, without prefix"),
        "position": Column(pa.int32(), "bp", "1-based", 1),
        "strand": Column(pa.string(), "", "+ or -"),
        "gene": Column(pa.string(), "", "named gene in or nearest to the site, empty for all others"),
        "gene_class": Column(pa.string(), "", "oncogene, hot_spot, or empty"),
        "in_gene": Column(pa.bool_(), "", "within a transcribed gene, named or not"),
        "near_tss": Column(pa.bool_(), "", "within 5 kb of a transcription start"),
        "near_cpg": Column(pa.bool_(), "", "within 1 kb of a CpG island"),
        "deregulates": Column(pa.bool_(), "", "whether the insertion deregulates the oncogene"),
    },
)

DRIVERS = Table(
    "drivers",
    ("patient", "origin", "driver"),
    {
        "patient": _PATIENT,
        "origin": Column(pa.string(), "", "whose marrow: patient or donor; the patient's own if autologous"),
        "driver": Column(pa.int32(), "", "number of the driver clone within that marrow", 0),
        "share": Column(pa.float64(), "", "of that marrow's stem cells when the cells were taken", 0, 1),
        "advantage_per_year": Column(pa.float64(), "1/year", "growth advantage", 0),
    },
)
