"""Immunogenicity: the chance of an immune response against what a patient's cells never made.

Three antigens: the transgene's product, the editor, the vector.  The hazard of a response against
the product is that by which `plan` draws rejections, larger where corrected cells are too few to teach
tolerance.  What was drawn is an event of the plan; here it is scored.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.immunity.columns import lineage_column, of_table
from hsc_pipeline.plan import rejection_per_year, t_cells_left
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

ANTIGENS = ("transgene", "editor", "vector")
EDITORS = ("hdr", "nhej", "base_edit", "prime_edit")
VECTORS = ("lentiviral", "gammaretroviral")
PRESENTING = "monocyte"  # the lineage whose corrected fraction shows the product to T cells

_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

IMMUNOGENICITY = Table(
    "immunogenicity",
    ("patient", "month", "antigen"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "antigen": Column(pa.string(), "", "transgene, editor or vector"),
        "t_cells_left": Column(
            pa.float64(),
            meaning="functional CD4+ cells after conditioning against a healthy person's",
            **_SHARE,
        ),
        "chimerism": Column(pa.float64(), meaning="corrected fraction of the presenting lineage", **_SHARE),
        "hazard_per_year": Column(pa.float64(), "1/year", "of a response that kills corrected cells", 0),
        "response_probability": Column(pa.float64(), meaning="that one began by then", **_SHARE),
        "antibody_probability": Column(
            pa.float64(), meaning="that antibodies against the product arose by then", **_SHARE
        ),
        "expected_loss": Column(pa.float64(), meaning="of corrected cells by then, over chance", **_SHARE),
        "drawn_loss": Column(
            pa.float64(), meaning="of corrected cells by then in this patient, events of the plan", **_SHARE
        ),
        "score": Column(pa.float64(), "points", "corrected cells expected to be kept", 0, 100),
    },
)


def immunogenicity_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `IMMUNOGENICITY`.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``products``, ``counts`` and ``events``.
    settings : Settings
        Of the stage ``immunity``.
    """
    infused = tables["products"].column("infused").to_pylist()[0]
    months = lineage_column(tables["counts"], PRESENTING, "month")
    chimerism = lineage_column(tables["counts"], PRESENTING, "corrected_fraction")
    lost = drawn_loss(months, of_table(tables["events"]))
    parts = []
    for antigen in ANTIGENS:
        hazard = response_hazard(antigen, patient, chimerism, settings) * infused
        responded = -np.expm1(-cumulative(months, hazard, settings["events.rejection.until_month"]))
        antibodies = settings["tolerance.antibody_ratio"] if antigen == "transgene" else 0.0
        expected = settings["events.rejection.size"] * responded
        parts.append(
            {
                "patient": np.full(len(months), patient["patient"]),
                "month": months,
                "antigen": np.full(len(months), antigen),
                "t_cells_left": np.full(len(months), t_cells_left(patient, settings)),
                "chimerism": chimerism,
                "hazard_per_year": np.where(months <= settings["events.rejection.until_month"], hazard, 0.0),
                "response_probability": responded,
                "antibody_probability": 1 - (1 - responded) ** antibodies,
                "expected_loss": expected,
                "drawn_loss": lost if antigen == "transgene" else np.zeros(len(months)),
                "score": 100 * (1 - expected),
            }
        )
    return {
        "immunogenicity": IMMUNOGENICITY.build(
            {name: np.concatenate([part[name] for part in parts]) for name in IMMUNOGENICITY.columns}
        )
    }


def response_hazard(antigen: str, patient: Mapping, chimerism: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the hazard per year of a response against an antigen, at each visit."""
    if antigen == "transgene":
        return rejection_per_year(patient, settings) * tolerance(chimerism, settings)
    kinds = EDITORS if antigen == "editor" else VECTORS
    if settings["product.modification"] not in kinds:
        return np.zeros(len(chimerism))
    # It is gone within days: what counts is memory that is there before, over the same window.
    window = settings["events.rejection.until_month"] / 12
    primed = settings[f"tolerance.{antigen}_memory"] * settings[f"tolerance.{antigen}_effect"]
    return np.full(len(chimerism), primed * t_cells_left(patient, settings) / window)


def tolerance(chimerism: np.ndarray, settings: Settings) -> np.ndarray:
    """Return a hazard against that where corrected cells are common and teach T cells to spare them.

    1 at high chimerism, as the rates of the plan take it, and up to 1 / (1 - m) without corrected cells,
    m being ``tolerance.most``; half of it is reached at ``tolerance.half_chimerism``.
    """
    ch = np.asarray(chimerism, float)
    most, half = settings["tolerance.most"], settings["tolerance.half_chimerism"]
    return (1 - most * ch / (ch + half)) / (1 - most / (1 + half))


def cumulative(months: np.ndarray, hazard: np.ndarray, until: float) -> np.ndarray:
    """Return a hazard per year summed from infusion to each visit, but no further than `until` months.

    Between visits the hazard runs in straight lines; before the first one it is as then.
    """
    times = np.unique(np.concatenate([[0.0], months, [until]]))
    at = np.interp(times, months, hazard)
    steps = np.diff(np.minimum(times, until)) / 12 * (at[1:] + at[:-1]) / 2
    return np.interp(months, times, np.concatenate([[0.0], np.cumsum(steps)]))


def drawn_loss(months: np.ndarray, events: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the share of corrected cells that rejections drawn in the plan killed by each visit."""
    kept = np.ones(len(months))
    for month, kind, length, size in zip(
        *(events[name] for name in ("month", "kind", "duration_months", "size")), strict=True
    ):
        if kind == "rejection":
            done = np.clip((months - month) / max(length, 1e-9), 0, 1)
            kept *= (1 - size) ** done
    return 1 - kept
