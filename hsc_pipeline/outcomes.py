"""Outcomes: one row per patient, from the product to the endpoints."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.immunity.score import MEANING as DOMAINS_MEAN
from hsc_pipeline.immunity.vaccine import worthwhile_month
from hsc_pipeline.plan import landmark_month
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table, read_patients, split_by_patient, turns
from hsc_pipeline.visits import MONITORED, OF_SITES, lost_months, monitor, share, summarise_visits

# Milestones of the immunity stage that are outcomes.
MILESTONES_READ = {
    "cd4_200": "more than 200 CD4+ T cells/uL",
    "naive_cd4_normal": "naive CD4+ T cells normal for age",
    "igg_independence": "enough IgG of one's own",
}
EVENTS_TOLD = ("transformation", "graft_failure", "rescue", "none")
_POINTS: dict[str, Any] = {"unit": "points", "least": 0, "most": 100}
_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

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
        "platelet_recovery_day": Column(
            pa.float64(), "days", "day of platelet engraftment; empty without aplasia", 0, None, True
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
        "lost_month": Column(
            pa.float64(), "months", "end of follow-up before the last visit; empty if kept", 0, None, True
        ),
        "last_seen_month": Column(pa.float64(), "months", "last visit that was kept; 0 if none was", 0),
        "visits_missed": Column(pa.int16(), "visits", "missed while in follow-up", 0),
        "event": Column(
            pa.string(),
            "",
            "first of transformation, graft_failure and rescue while in follow-up; none: censored",
        ),
        "event_month": Column(pa.float64(), "months", "of that event, or end of follow-up", 0),
        "landmark_month": Column(pa.float64(), "months", "visit of the columns that follow", 0),
        "benefit": Column(
            pa.bool_(),
            "",
            "infused, and corrected cells and function of the deciding lineage reach their limits",
        ),
        "benefit_seen": Column(
            pa.bool_(), "", "the same as the trial sees it; empty if the visit was missed", nullable=True
        ),
        "benefit_month": Column(
            pa.float64(), "months", "first visit with benefit; empty if never", 0, None, True
        ),
        "readout_value": Column(
            pa.float64(),
            "see readouts",
            "of the disease's read-out that benefit.readout names; empty if it names none",
            0,
            None,
            True,
        ),
        "insertional_share": Column(
            pa.float64(), meaning="stem cells with an insertion that deregulates a gene of growth", **_SHARE
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
        "platelets_safe_month": Column(
            pa.float64(), "months", "first visit with platelets above it; empty if never", 0, None, True
        ),
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
        "first_alarm_month": Column(
            pa.float64(), "months", "first visit that raised it; empty if none did", 0, None, True
        ),
    },
)

# Tables of an arm that are read, beside the integration sites.
READ = (
    "patients",
    "products",
    "grafts",
    "marrow",
    "transformations",
    "counts",
    "readouts",
    "recovery",
    "reconstitution",
    "immune_markers",
    "milestones",
    "challenges",
    "vaccine_responses",
    "infection_risk",
    "infection_episodes",
    "autoimmune_reset",
    "scores",
)
PART = 500  # patients held in memory together
READ_PATHOGEN = "respiratory_virus"  # whose day of clearance is an outcome


def summarise_in_parts(
    arm: str, files: Mapping[str, str | Path], patients: int, settings: Settings
) -> Iterator[dict[str, pa.Table]]:
    """Yield `OUTCOMES` and `visits.VISITS` of one arm for some patients at a time, so that memory stays flat.

    Parameters
    ----------
    arm : str
    files : mapping of str to path
        The arm's tables in `READ` and ``integration_sites``, by name.
    patients : int
        In the arm.
    settings : Settings
        Of the stage ``outcomes``.
    """
    for some in turns((0, patients - 1), PART):
        tables = {name: read_patients(files[name], some) for name in READ}
        # The largest table by far, of which little is asked.
        tables["integration_sites"] = read_patients(files["integration_sites"], some, columns=OF_SITES)
        yield summarise(arm, tables, settings)


def summarise(arm: str, tables: Mapping[str, pa.Table], settings: Settings) -> dict[str, pa.Table]:
    """Return ``outcomes`` and ``visits`` of an arm's tables, as the stages write them."""
    sites = tables["integration_sites"]
    each = split_by_patient(sites, sorted(pc.unique(sites.column("patient")).to_pylist()))
    frames = {name: tables[name].to_pandas() for name in READ}
    frames["monitoring"] = monitor(each.values())
    visits = summarise_visits(arm, frames, settings)
    frames["visits"] = visits.to_pandas()
    return {"outcomes": summarise_arm(arm, frames, settings), "visits": visits}


def summarise_arm(arm: str, tables: Mapping[str, pd.DataFrame], settings: Settings) -> pa.Table:
    """Return `OUTCOMES` of one arm.

    Parameters
    ----------
    arm : str
    tables : mapping of str to pandas.DataFrame
        ``patients``, ``products``, ``grafts``, ``marrow``, ``transformations``, ``counts``,
        ``readouts``, ``recovery``, ``visits`` (of `visits.VISITS`), ``reconstitution``, ``milestones``,
        ``challenges``, ``vaccine_responses``, ``infection_risk``, ``infection_episodes``,
        ``autoimmune_reset`` and ``scores`` of the arm.
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
        insertional_share=share(at_landmark["insertional_cells"], cells),
        driver_share=share(at_landmark["driver_cells"], cells),
        readout_value=_readout(tables["readouts"], landmark, settings),
        stem_cell_chimerism=(at_landmark["corrected"] / cells.where(cells > 0)).fillna(0.0),
        live_clones=at_landmark["live_clones"],
        vcn_neutrophil=vcn["neutrophil"],
        corrected_t_cells=share(corrected["cd4_t"] + corrected["cd8_t"], t_cells),
        corrected_b_cells=share(corrected["b_cell"], per_ul["b_cell"]),
        cd4_per_ul=per_ul["cd4_t"],
        platelets_per_ul=per_ul["platelet"],
        platelets_safe=per_ul["platelet"] >= settings["benefit.platelets_per_ul"],
        **_immunity(tables, base.index, landmark, settings),
        **_at_visits(tables["visits"], landmark, settings),
    )
    out = out.assign(**_follow_up(out, tables, settings)).reset_index()
    return OUTCOMES.build({name: out[name].to_numpy() for name in OUTCOMES.columns})


def _readout(readouts: pd.DataFrame, landmark: float, settings: Settings) -> pd.Series:
    chosen = (readouts["readout"] == settings["benefit.readout"]) & (readouts["month"] == landmark)
    return readouts[chosen].set_index("patient")["value"].astype(float)


def _at_visits(visits: pd.DataFrame, landmark: float, settings: Settings) -> dict[str, pd.Series]:
    """Return what is read from the row of each visit: benefit, and the samples of `MONITORED`."""
    at_landmark = visits[visits["month"] == landmark].set_index("patient")
    last = visits[visits["month"] == max(settings.study["sampling"]["months"])].set_index("patient")
    largest = visits.groupby("patient")[f"lab_top_share_{MONITORED}"].max()
    return {
        "benefit": at_landmark["benefit"],
        "benefit_seen": at_landmark["benefit"].astype(object).where(at_landmark["seen"], None),
        "benefit_month": _first(visits, visits["benefit"]),
        "platelets_safe_month": _first(
            visits, visits["platelets_per_ul"] >= settings["benefit.platelets_per_ul"]
        ),
        "observed_sites": last[f"lab_sites_{MONITORED}"].fillna(0).astype("int64"),
        "observed_shannon": last[f"lab_shannon_{MONITORED}"].fillna(0.0),
        "largest_share": largest,
        "dominance_alarm": largest > settings["alarm.top_clone_share"],
        "first_alarm_month": _first(visits, visits["alarm"]),
    }


def _first(visits: pd.DataFrame, holds: pd.Series) -> pd.Series:
    """Return the first month by patient in which something holds."""
    return visits[holds].groupby("patient")["month"].min()


def _follow_up(
    out: pd.DataFrame, tables: Mapping[str, pd.DataFrame], settings: Settings
) -> dict[str, pd.Series]:
    """Return how long each patient was followed, and what ended it: competing events, or censoring."""
    visits, last = tables["visits"], settings.study["visits_months"][-1]
    lost = pd.Series(lost_months(tables["patients"], settings)).reindex(out.index)
    end = lost.clip(upper=last)
    seen = visits[visits["seen"]].groupby("patient")["month"]
    in_follow_up = visits[visits["month"] < lost.reindex(visits["patient"]).to_numpy()]
    missed = (~in_follow_up["seen"]).groupby(in_follow_up["patient"]).sum()
    failed = out["rescue_month"].fillna(settings.study["visits_months"][0]).where(out["graft_failure"])
    months = pd.DataFrame(
        {
            "transformation": out["transformation_month"],
            "graft_failure": failed,
            "rescue": out["rescue_month"],
        }
    ).astype(float)
    months = months.where(months.le(end, axis=0)).assign(none=end)
    return {
        "lost_month": lost.where(lost < last),
        "last_seen_month": seen.max().reindex(out.index).fillna(0.0),
        "visits_missed": missed.reindex(out.index).fillna(0).astype("int16"),
        "event": months.idxmin(axis=1),
        "event_month": months.min(axis=1),
    }


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
