"""Visits: one row per patient and visit, the truth beside what the trial and its laboratory see."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.study_file import SAMPLED_LINEAGES
from hsc_pipeline.tables import Column, Table

LINEAGES = ("neutrophil", "monocyte", "platelet", "red_cell", "b_cell", "nk_cell", "cd4_t", "cd8_t")
# Platelets and red cells hold no genome to count copies in.
WITH_NUCLEUS = tuple(name for name in LINEAGES if name not in ("platelet", "red_cell"))
FEWEST_FRAGMENTS = 100  # below, the largest share says more of the sample than of the clones
MONITORED = "neutrophil"  # whose samples raise alarms
OF_SITES = ["patient", "month", "lineage", "fragments"]  # what monitoring reads of a sequenced sample
_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}


def _seen(unit: str, meaning: str, most: float | None = None) -> Column:
    return Column(pa.float64(), unit, f"{meaning}; empty where not measured", 0, most, True)


VISITS = Table(
    "visits",
    ("arm", "patient", "month"),
    {
        "arm": Column(pa.string(), "", "arm of the study"),
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "seen": Column(pa.bool_(), "", "whether the patient came: neither lost before nor absent"),
        "benefit": Column(
            pa.bool_(), "", "infused, and corrected cells and function of the deciding lineage reach limits"
        ),
        "alarm": Column(pa.bool_(), "", f"a dominance alarm in {MONITORED}s at this or an earlier visit"),
        "immune_score": Column(pa.float64(), "points", "composite immune competence", 0, 100),
        "stem_cell_chimerism": Column(pa.float64(), meaning="corrected stem cells in the marrow", **_SHARE),
        "corrected_t_cells": Column(pa.float64(), meaning="corrected among T cells", **_SHARE),
        "cd4_per_ul": Column(pa.float64(), "cells/uL", "CD4+ T cells", 0),
        "platelets_per_ul": Column(pa.float64(), "cells/uL", "platelets", 0),
        **{
            f"corrected_{name}": Column(
                pa.float64(), meaning=f"corrected among cells of type {name}", **_SHARE
            )
            for name in LINEAGES
        },
        **{
            f"vcn_{name}": Column(pa.float64(), "copies/cell", f"VCN of cells of type {name}", 0)
            for name in LINEAGES
        },
        **{f"lab_{name}_per_ul": _seen("cells/uL", f"blood count of {name}") for name in LINEAGES},
        **{
            f"lab_vcn_{name}": _seen("copies/cell", f"VCN of {name} by one digital PCR")
            for name in WITH_NUCLEUS
        },
        "lab_trec_per_ul": _seen("copies/uL", "T-cell receptor excision circles"),
        **{f"lab_sites_{name}": _seen("sites", f"sites read in {name}") for name in SAMPLED_LINEAGES},
        **{
            f"lab_shannon_{name}": _seen("nats", f"Shannon index of fragments in {name}")
            for name in SAMPLED_LINEAGES
        },
        **{
            f"lab_top_share_{name}": _seen(
                "", f"largest share of one site in {name}, of {FEWEST_FRAGMENTS} fragments or more", 1
            )
            for name in SAMPLED_LINEAGES
        },
    },
)


def summarise_visits(arm: str, tables: Mapping[str, pd.DataFrame], settings: Settings) -> pa.Table:
    """Return `VISITS` of one arm.

    Parameters
    ----------
    arm : str
    tables : mapping of str to pandas.DataFrame
        ``patients``, ``products``, ``marrow``, ``counts``, ``immune_markers``, ``autoimmune_reset``,
        ``scores`` and ``monitoring`` (of `monitor`) of the arm.
    settings : Settings
        Of the stage ``outcomes``.
    """
    by = ["patient", "month"]
    counts = tables["counts"].pivot(index=by, columns="lineage")
    marrow = tables["marrow"].set_index(by).reindex(counts.index)
    cells = marrow[["host", "uncorrected", "corrected"]].sum(axis=1)
    seen = who_came(tables["patients"], settings)
    seen = pd.Series(seen).reindex(counts.index)
    scores = tables["scores"][tables["scores"]["who"] == "patient"].set_index(by)
    markers = tables["immune_markers"].set_index(by).reindex(counts.index)
    per_ul, corrected = counts["count_per_ul"], counts["corrected_per_ul"]
    t_cells = per_ul["cd4_t"] + per_ul["cd8_t"]
    lab = {
        **{f"lab_{name}_per_ul": per_ul[name] for name in LINEAGES},
        **{f"lab_vcn_{name}": counts["vcn_measured"][name] for name in WITH_NUCLEUS},
        "lab_trec_per_ul": markers["trec_per_ul"],
        **_sequenced(tables["monitoring"], counts.index),
    }
    lab = {name: column.astype(float).where(seen) for name, column in lab.items()}
    raised = lab[f"lab_top_share_{MONITORED}"] > settings["alarm.top_clone_share"]
    out = pd.DataFrame(
        {
            "seen": seen,
            "benefit": benefits(tables, settings).reindex(counts.index),
            "alarm": raised.groupby("patient").cummax(),
            "immune_score": scores["composite"].reindex(counts.index),
            "stem_cell_chimerism": share(marrow["corrected"], cells),
            "corrected_t_cells": share(corrected["cd4_t"] + corrected["cd8_t"], t_cells),
            "cd4_per_ul": per_ul["cd4_t"],
            "platelets_per_ul": per_ul["platelet"],
            **{f"corrected_{name}": counts["corrected_fraction"][name] for name in LINEAGES},
            **{f"vcn_{name}": counts["vcn"][name] for name in LINEAGES},
            **lab,
        }
    ).reset_index()
    out["arm"] = arm
    return VISITS.build({name: out[name].to_numpy() for name in VISITS.columns})


def share(part: pd.Series, whole: pd.Series) -> pd.Series:
    """Return part of whole, 0 where there is nothing."""
    return (part / whole.where(whole > 0)).fillna(0.0).clip(upper=1.0)


def who_came(patients: pd.DataFrame, settings: Settings) -> dict[tuple[int, float], bool]:
    """Tell by patient and month who came to the visit.

    Everybody is lost at a constant rate; who is not yet lost misses some visits.

    Parameters
    ----------
    patients : pandas.DataFrame
        `plan.PATIENTS`.
    settings : Settings
        With ``followup.`` and the study's visits.
    """
    lost, months = lost_months(patients, settings), settings.study["visits_months"]
    missed = settings["followup.missed_share"]
    return {
        (patient, month): bool(
            month < lost[patient] and stream(seed, f"visits.missed.{month:g}").random() >= missed
        )
        for patient, seed in zip(patients["patient"], patients["patient_seed"], strict=True)
        for month in months
    }


def lost_months(patients: pd.DataFrame, settings: Settings) -> dict[int, float]:
    """Return by patient the month after infusion in which follow-up ends, infinite where nobody is lost."""
    rate = settings["followup.lost_per_year"] / 12
    return {
        patient: float(stream(seed, "visits.lost").standard_exponential()) / rate if rate else np.inf
        for patient, seed in zip(patients["patient"], patients["patient_seed"], strict=True)
    }


def benefits(tables: Mapping[str, pd.DataFrame], settings: Settings) -> pd.Series:
    """Tell by patient and month who benefits.

    Infused, with enough corrected cells and function in the deciding lineage, and autoimmunity reset.
    """
    by = ["patient", "month"]
    reset = tables["autoimmune_reset"].set_index(by)["score"] >= 100 * settings["benefit.reset_share"]
    counts = tables["counts"]
    deciding = counts[counts["lineage"] == settings["benefit.lineage"]].set_index(by)
    infused = tables["products"].set_index("patient")["infused"]
    return (
        (deciding["corrected_fraction"] >= settings["benefit.corrected_fraction"])
        & (deciding["function"] >= settings["benefit.function"])
        & reset.reindex(deciding.index)
        & infused.reindex(deciding.index.get_level_values("patient")).to_numpy()
    )


def monitor(patients: Iterable[pa.Table]) -> pd.DataFrame:
    """Read diversity and dominance from the sequenced samples, as a laboratory would.

    Parameters
    ----------
    patients : iterable of pyarrow.Table
        `OF_SITES` of `blood.INTEGRATION_SITES`, patient by patient, so that memory stays flat.

    Returns
    -------
    pandas.DataFrame
        By patient, month and lineage: ``sites``, ``shannon`` and ``top_share`` of the fragments, the last
        one empty in samples of fewer than `FEWEST_FRAGMENTS`.
    """
    rows = {}
    for table in patients:
        sites = table.select(OF_SITES).to_pandas()
        for key, sample in sites.groupby(["patient", "month", "lineage"])["fragments"]:
            total = sample.sum()
            top = sample.max() / total if total >= FEWEST_FRAGMENTS else np.nan
            rows[key] = (len(sample), shannon(sample.to_numpy()), top)
    index = pd.MultiIndex.from_tuples(rows, names=["patient", "month", "lineage"]) if rows else _NO_SAMPLES
    return pd.DataFrame(list(rows.values()), index=index, columns=["sites", "shannon", "top_share"])


_NO_SAMPLES = pd.MultiIndex.from_arrays([[], [], []], names=["patient", "month", "lineage"])


def _sequenced(samples: pd.DataFrame, visits: pd.MultiIndex) -> dict[str, pd.Series]:
    found = {}
    for lineage in SAMPLED_LINEAGES:
        own = samples[samples.index.get_level_values("lineage") == lineage].droplevel("lineage")
        own = own.reindex(visits)
        found |= {f"lab_{what}_{lineage}": own[what] for what in ("sites", "shannon", "top_share")}
    return found


def shannon(counts: Sequence[int] | np.ndarray) -> float:
    """Return the Shannon index in nats."""
    share_of = np.asarray(counts, float) / np.sum(counts)
    return max(0.0, float(-(share_of * np.log(share_of)).sum()))
