"""Outcomes: one row per patient, from the product to the endpoints."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from hsc_pipeline.immunity.score import MEANING as DOMAINS_MEAN
from hsc_pipeline.immunity.vaccine import worthwhile_month
from hsc_pipeline.plan import landmark_month
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

# Milestones of the immunity stage that are outcomes.
MILESTONES_READ = {
    "cd4_200": "more than 200 CD4+ T cells/uL",
    "naive_cd4_normal": "naive CD4+ T cells normal for age",
    "igg_independence": "enough IgG of one's own",
}
_POINTS = {"unit": "points", "least": 0, "most": 100}
_SHARE = {"unit": "", "least": 0, "most": 1}

OUTCOMES = Table(
    "outcomes",
    ("arm", "patient"),
    {
        "arm": Column(pa.string(), "", "arm of the study"),
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "age_years": Column(pa.float64(), "years", "age at infusion", 0),
        "weight_kg": Column(pa.float64(), "kg", "body weight at infusion", 0),
        "null_genotype": Column(pa.bool_(), "", "genotype without any protein"),
        "infused": Column(pa.bool_(), "", "whether a product was infused; everybody enrolled has a row"),
        "harvests": Column(pa.int16(), "", "harvests of CD34+ cells tried", 0),
        "months_to_infusion": Column(
            pa.float64(), "months", "from enrolment; empty if never infused", 0, None, True
        ),
        "cd34_per_kg": Column(pa.float64(), "cells/kg", "CD34+ cells infused", 0),
        "busulfan_auc": Column(pa.float64(), "mg*h/L", "busulfan exposure achieved, if infused", 0),
        "mean_copies": Column(
            pa.float64(),
            "copies/cell",
            "vector copies (VCN), or alleles as intended, per product cell",
            0,
        ),
        "residual_host_fraction": Column(pa.float64(), "", "host stem cells that conditioning left", 0, 1),
        "neutrophil_recovery_day": Column(
            pa.float64(), "days", "day of neutrophil engraftment; empty without aplasia", 0, None, True
        ),
        "engrafted_clones": Column(pa.int64(), "clones", "corrected stem cells that took", 0),
        "graft_failure": Column(
            pa.bool_(), "", "infused, and fewer infused stem cells took, corrected or not, than the limit"
        ),
        "rescue_month": Column(
            pa.float64(), "months", "when the unmodified reserve was given; empty if never", 0, None, True
        ),
        "transformation_month": Column(
            pa.float64(), "months", "first malignant transformation; empty if none", 0, None, True
        ),
        "landmark_month": Column(pa.float64(), "months", "visit of the columns that follow", 0),
        "benefit": Column(
            pa.bool_(),
            "",
            "infused, and corrected cells and function of the deciding lineage reach their limits",
        ),
        "driver_share": Column(
            pa.float64(), meaning="stem cells with a driver of clonal haematopoiesis, of any origin", **_SHARE
        ),
        "stem_cell_chimerism": Column(pa.float64(), meaning="corrected stem cells in the marrow", **_SHARE),
        "live_clones": Column(pa.int64(), "clones", "corrected clones that still have a stem cell", 0),
        "vcn_neutrophil": Column(pa.float64(), "copies/cell", "VCN of neutrophils", 0),
        "corrected_t_cells": Column(pa.float64(), meaning="corrected among T cells", **_SHARE),
        "corrected_b_cells": Column(pa.float64(), meaning="corrected among B cells", **_SHARE),
        "cd4_per_ul": Column(pa.float64(), "cells/uL", "CD4+ T cells", 0),
        "platelets_per_ul": Column(pa.float64(), "cells/uL", "platelets", 0),
        "t_protected": Column(pa.bool_(), "", "functional CD3+ cells within the interval for age"),
        "platelets_safe": Column(pa.bool_(), "", "platelets above the bleeding threshold"),
        "clearance_day": Column(pa.float64(), "days", "day a respiratory virus is cleared", 0),
        "immune_score": Column(pa.float64(), meaning="composite immune competence", **_POINTS),
        **{
            f"score_{domain}": Column(pa.float64(), meaning=f"domain of it: {meaning}", **_POINTS)
            for domain, meaning in DOMAINS_MEAN.items()
        },
        "t_protection_month": Column(
            pa.float64(),
            "months",
            "first visit with functional CD3+ cells in the interval; empty if never",
            0,
            None,
            True,
        ),
        **{
            f"{milestone}_month": Column(
                pa.float64(), "months", f"first visit with {what}; empty if never", 0, None, True
            )
            for milestone, what in MILESTONES_READ.items()
        },
        "tetanus_vaccination_month": Column(
            pa.float64(),
            "months",
            "first visit from which tetanus vaccine does vaccine.worthwhile_share of what it does in health",
            0,
            None,
            True,
        ),
        "infections": Column(pa.int32(), "episodes", "serious infections simulated over all visits", 0),
        "infections_per_year": Column(
            pa.float64(), "1/year", "hazard of serious infection at the landmark", 0
        ),
        "relapse_free": Column(
            pa.float64(), meaning="chance of no relapse of an autoimmune disease by the landmark", **_SHARE
        ),
        "observed_sites": Column(pa.int64(), "sites", "sites read in the last neutrophil sample", 0),
        "observed_shannon": Column(pa.float64(), "nats", "Shannon index of their fragments", 0),
        "largest_share": Column(
            pa.float64(),
            meaning="largest share of one site in any neutrophil sample; empty if too little was read",
            nullable=True,
            **_SHARE,
        ),
        "dominance_alarm": Column(pa.bool_(), "", "whether that share passed the alarm"),
    },
)

READ_PATHOGEN = "respiratory_virus"  # whose day of clearance is an outcome
FEWEST_FRAGMENTS = 100  # below, the largest share says more of the sample than of the clones


def summarise_arm(arm: str, tables: Mapping[str, pd.DataFrame], settings: Settings) -> pa.Table:
    """Return `OUTCOMES` of one arm.

    Parameters
    ----------
    arm : str
    tables : mapping of str to pandas.DataFrame
        ``patients``, ``products``, ``grafts``, ``marrow``, ``transformations``, ``counts``,
        ``recovery``, ``monitoring`` (of `monitor`), ``reconstitution``, ``milestones``, ``challenges``,
        ``vaccine_responses``, ``infection_risk``, ``infection_episodes``, ``autoimmune_reset`` and
        ``scores`` of the arm.
    settings : Settings
        Of the stage ``outcomes``.
    """
    landmark = landmark_month(settings.study["visits_months"], settings["benefit.landmark_month"])
    base = tables["patients"].set_index("patient")
    for name in ("products", "grafts", "recovery"):
        base = base.join(tables[name].set_index("patient"))
    marrow = tables["marrow"].set_index("patient")
    at_start, at_landmark = marrow[marrow["month"] == 0], marrow[marrow["month"] == landmark]
    cells = at_landmark[["host", "uncorrected", "corrected"]].sum(axis=1)
    counts = tables["counts"][tables["counts"]["month"] == landmark]
    per_ul = counts.pivot(index="patient", columns="lineage", values="count_per_ul")
    corrected = counts.pivot(index="patient", columns="lineage", values="corrected_per_ul")
    vcn = counts.pivot(index="patient", columns="lineage", values="vcn")
    t_cells = per_ul["cd4_t"] + per_ul["cd8_t"]
    out = base.assign(
        arm=arm,
        residual_host_fraction=at_start["residual_host_fraction"],
        engrafted_clones=at_start["live_clones"],
        graft_failure=base["infused"]
        & (at_start["corrected"] + at_start["uncorrected"] < settings["benefit.graft_cells"]),
        transformation_month=tables["transformations"].groupby("patient")["month"].min(),
        landmark_month=landmark,
        benefit=base["infused"] & _benefits(counts, tables["autoimmune_reset"], landmark, settings),
        driver_share=_share(at_landmark["driver_cells"], cells),
        stem_cell_chimerism=(at_landmark["corrected"] / cells.where(cells > 0)).fillna(0.0),
        live_clones=at_landmark["live_clones"],
        vcn_neutrophil=vcn["neutrophil"],
        corrected_t_cells=_share(corrected["cd4_t"] + corrected["cd8_t"], t_cells),
        corrected_b_cells=_share(corrected["b_cell"], per_ul["b_cell"]),
        cd4_per_ul=per_ul["cd4_t"],
        platelets_per_ul=per_ul["platelet"],
        platelets_safe=per_ul["platelet"] >= settings["benefit.platelets_per_ul"],
        **_immunity(tables, base.index, landmark, settings),
        **_monitoring(tables["monitoring"], base.index, settings["alarm.top_clone_share"]),
    ).reset_index()
    return OUTCOMES.build({name: out[name].to_numpy() for name in OUTCOMES.columns})


def _share(part: pd.Series, whole: pd.Series) -> pd.Series:
    return (part / whole.where(whole > 0)).fillna(0.0).clip(upper=1.0)


def _benefits(counts: pd.DataFrame, reset: pd.DataFrame, landmark: float, settings: Settings) -> pd.Series:
    """Tell whose deciding lineage has enough corrected cells and function, with autoimmunity reset."""
    at_landmark = reset[reset["month"] == landmark].set_index("patient")
    gone = at_landmark["score"] >= 100 * settings["benefit.reset_share"]
    deciding = counts[counts["lineage"] == settings["benefit.lineage"]].set_index("patient")
    return (
        (deciding["corrected_fraction"] >= settings["benefit.corrected_fraction"])
        & (deciding["function"] >= settings["benefit.function"])
        & gone
    )


def _immunity(
    tables: Mapping[str, pd.DataFrame], patients: pd.Index, landmark: float, settings: Settings
) -> dict[str, pd.Series]:
    cd3 = tables["reconstitution"]
    cd3 = cd3[cd3["cell"] == "cd3"]
    protected = cd3[cd3["functional_score"] >= 100 - 1e-9]
    at_landmark = cd3[cd3["month"] == landmark].set_index("patient")
    challenged = _own(tables["challenges"], landmark)
    challenged = challenged[challenged["pathogen"] == READ_PATHOGEN]
    scores = _own(tables["scores"], landmark).set_index("patient")
    reached = tables["milestones"].pivot(index="patient", columns="milestone", values="month")
    episodes = tables["infection_episodes"]
    episodes = episodes[episodes["who"] == "patient"].groupby("patient").size()
    reset = tables["autoimmune_reset"]
    return {
        "t_protected": at_landmark["functional_score"] >= 100 - 1e-9,
        "t_protection_month": protected.groupby("patient")["month"].min(),
        "clearance_day": challenged.set_index("patient")["clearance_day"],
        "immune_score": scores["composite"],
        **{f"score_{domain}": scores[domain] for domain in DOMAINS_MEAN},
        **{f"{milestone}_month": reached[milestone].astype(float) for milestone in MILESTONES_READ},
        "tetanus_vaccination_month": worthwhile_month(
            tables["vaccine_responses"], "tetanus", settings["vaccine.worthwhile_share"]
        ),
        "infections": episodes.reindex(patients, fill_value=0).astype("int32"),
        "infections_per_year": _own(tables["infection_risk"], landmark).set_index("patient")[
            "hazard_per_year"
        ],
        "relapse_free": reset[reset["month"] == landmark].set_index("patient")["relapse_free"],
    }


def _own(table: pd.DataFrame, month: float) -> pd.DataFrame:
    """Return the rows of the patients themselves, not of their twins, at one visit."""
    return table[(table["who"] == "patient") & (table["month"] == month)]


def monitor(
    patients: Iterable[pa.Table], months: Sequence[float], lineage: str = "neutrophil"
) -> pd.DataFrame:
    """Read diversity and dominance from one lineage's samples, as a laboratory would.

    Parameters
    ----------
    patients : iterable of pyarrow.Table
        `blood.INTEGRATION_SITES` patient by patient, so that memory stays flat.
    months : sequence of float
        Visits whose blood is sequenced.
    lineage : str

    Returns
    -------
    pandas.DataFrame
        By patient: ``observed_sites`` and ``observed_shannon`` of the last sample, and
        ``largest_share`` of any sample of at least a hundred fragments.
    """
    rows = {}
    for table in patients:
        sites = table.select(["patient", "month", "lineage", "fragments"]).to_pandas()
        sites = sites[sites["lineage"] == lineage]
        if sites.empty:
            continue
        samples = sites.groupby("month")["fragments"]
        total = samples.sum()
        shares = (samples.max() / total)[total >= FEWEST_FRAGMENTS]
        last = sites.loc[sites["month"] == max(months), "fragments"]
        index = shannon(last.to_numpy()) if len(last) else 0.0
        rows[int(sites["patient"].iloc[0])] = (len(last), index, shares.max())
    columns = ["observed_sites", "observed_shannon", "largest_share"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _monitoring(seen: pd.DataFrame, patients: pd.Index, alarm: float) -> dict[str, pd.Series]:
    seen = seen.reindex(patients)
    return {
        "observed_sites": seen["observed_sites"].fillna(0).astype("int64"),
        "observed_shannon": seen["observed_shannon"].fillna(0.0).astype(float),
        "largest_share": seen["largest_share"].astype(float),
        "dominance_alarm": seen["largest_share"].astype(float) > alarm,
    }


def shannon(counts: np.ndarray) -> float:
    """Return the Shannon index in nats."""
    share = np.asarray(counts, float) / np.sum(counts)
    return max(0.0, float(-(share * np.log(share)).sum()))
