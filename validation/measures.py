"""What validation reads off the simulated tables: one number a patient.

Tables are those of `hsc_pipeline.chain.simulate`, as data frames by name.
"""

import numpy as np
import pandas as pd

FEWEST_SITES = 100  # sites of a sample, as the published figures ask
PG_PER_RED_CELL = 30  # haemoglobin, assumed
FIRST_INFECTION_MONTH = 6  # from which infections count as those after treatment


def lineage_fraction(tables: dict, lineage: str, month: float) -> pd.Series:
    """Corrected fraction of a lineage, %."""
    return 100 * _counts(tables, lineage, month)["corrected_fraction"]


def count(tables: dict, lineage: str, month: float) -> pd.Series:
    """Cells per microlitre."""
    return _counts(tables, lineage, month)["count_per_ul"]


def vcn(tables: dict, lineage: str, month: float) -> pd.Series:
    """Vector copies, or alleles as intended, per cell of a lineage."""
    return _counts(tables, lineage, month)["vcn"]


def vcn_ratio(tables: dict, lineage: str, month: float, to: str = "neutrophil") -> pd.Series:
    """VCN of a lineage against another's, over patients who have any."""
    base = vcn(tables, to, month)
    return (vcn(tables, lineage, month) / base.where(base > 0)).dropna()


def fraction_above(tables: dict, lineage: str, month: float, above: float) -> pd.Series:
    """Whether the corrected fraction of a lineage is above a limit in %, 0 or 1."""
    return (lineage_fraction(tables, lineage, month) > above).astype(float)


def fraction_below(tables: dict, lineage: str, month: float, below: float) -> pd.Series:
    """Whether the corrected fraction of a lineage is below a limit in %, 0 or 1."""
    return (lineage_fraction(tables, lineage, month) < below).astype(float)


def t_cells_above(tables: dict, month: float, above: float) -> pd.Series:
    """Whether T cells are above a count per microlitre, 0 or 1."""
    return (cd3_count(tables, month) > above).astype(float)


def cd3_count(tables: dict, month: float) -> pd.Series:
    """T cells per microlitre."""
    return count(tables, "cd4_t", month) + count(tables, "cd8_t", month)


def alleles(tables: dict, lineage: str, month: float) -> pd.Series:
    """Alleles of a sorted sample edited as intended, in corrected cells or not, %."""
    rows = tables["alleles"]
    chosen = (rows["lineage"] == lineage) & (rows["month"] == month) & (rows["allele"] == "intended")
    return 100 * rows[chosen].set_index("patient")["share"]


def rises(tables: dict, lineage: str, early: float, late: float) -> pd.Series:
    """Whether copies of a lineage are more at a late month than at an early one, 0 or 1."""
    return (vcn(tables, lineage, late) > vcn(tables, lineage, early)).astype(float)


def readout(tables: dict, readout: str, month: float) -> pd.Series:
    """A read-out of the disease."""
    rows = tables["readouts"]
    rows = rows[(rows["readout"] == readout) & (rows["month"] == month)]
    return rows.set_index("patient")["value"]


def haemoglobin_of_the_product(tables: dict, month: float) -> pd.Series:
    """The haemoglobin that the product brings, g/dL."""
    return readout(tables, "therapeutic_haemoglobin", month) / 100 * readout(tables, "haemoglobin", month)


def other_haemoglobin(tables: dict, month: float) -> pd.Series:
    """The haemoglobin that the product does not bring, g/dL."""
    return readout(tables, "haemoglobin", month) - haemoglobin_of_the_product(tables, month)


def haemoglobin_per_cell(tables: dict, month: float) -> pd.Series:
    """The product's haemoglobin in a corrected red cell, pg."""
    share = readout(tables, "therapeutic_haemoglobin", month)
    corrected = lineage_fraction(tables, "red_cell", month)
    return (PG_PER_RED_CELL * share / corrected.where(corrected > 0)).dropna()


def not_transfused(tables: dict, month: float) -> pd.Series:
    """Whether the patient's own haemoglobin needs no transfusions, 0 or 1."""
    rows = tables["readouts"]
    rows = rows[(rows["readout"] == "haemoglobin") & (rows["month"] == month)].set_index("patient")
    return (rows["state"] == "ok").astype(float)


def recovery_day(tables: dict, cell: str) -> pd.Series:
    """Day of neutrophil or platelet recovery of those who were infused."""
    return tables["recovery"].set_index("patient")[f"{cell}_recovery_day"].dropna()


def engrafted(tables: dict) -> pd.Series:
    """Infused stem cells that took."""
    marrow = tables["marrow"]
    start = marrow[marrow["month"] == 0].set_index("patient")
    return start["corrected"] + start["uncorrected"]


def stem_cells(tables: dict) -> pd.Series:
    """All stem cells after homing."""
    marrow = tables["marrow"]
    start = marrow[marrow["month"] == 0].set_index("patient")
    return start[["host", "uncorrected", "corrected"]].sum(axis=1)


def product_copies(tables: dict) -> pd.Series:
    """Copies per cell of the product."""
    return tables["products"].set_index("patient")["mean_copies"]


def stem_cells_corrected(tables: dict, month: float) -> pd.Series:
    """Stem cells that are corrected, of all, %."""
    here = _marrow(tables, month)
    return 100 * here["corrected"] / here[["host", "uncorrected", "corrected"]].sum(axis=1)


def stem_cell_copies(tables: dict, month: float) -> pd.Series:
    """Copies per stem cell, of all."""
    return stem_cells_corrected(tables, month) / 100 * _marrow(tables, month)["copies_per_corrected"]


def sites(tables: dict, lineage: str, month: float) -> pd.Series:
    """Distinct integration sites of a sample."""
    return _samples(tables, lineage, month).size().astype(float)


def shannon(tables: dict, lineage: str, month: float) -> pd.Series:
    """Shannon index of a sample's fragments, nats."""
    return _samples(tables, lineage, month)["fragments"].agg(_shannon)


def top_share(tables: dict, lineage: str, month: float) -> pd.Series:
    """Share of the largest site of samples with at least a hundred sites, %."""
    return _large(tables, lineage, month).agg(lambda n: 100 * n.max() / n.sum())


def singletons(tables: dict, lineage: str, month: float) -> pd.Series:
    """Part of the sites seen with one fragment."""
    return _large(tables, lineage, month).agg(lambda n: (n == 1).mean())


def chao1_ratio(tables: dict, lineage: str, month: float) -> pd.Series:
    """Chao1 (bias-corrected) against the sites observed."""
    return _large(tables, lineage, month).agg(_chao1_ratio)


def fragments_per_site(tables: dict, lineage: str, month: float) -> pd.Series:
    """Mean fragments of a site."""
    return _large(tables, lineage, month).mean()


def dominant(tables: dict, above: float, by_month: float) -> pd.Series:
    """Whether a site makes up more than a share of any sample with a hundred sites by a month, 0 or 1."""
    rows = tables["integration_sites"]
    rows = rows[rows["month"] <= by_month]
    sample = rows.groupby(["patient", "lineage", "month"])["fragments"]
    share = sample.max() / sample.sum()
    hit = share[(share > above) & (sample.size() >= FEWEST_SITES)].index.get_level_values("patient")
    patients = tables["patients"]["patient"]
    return pd.Series(patients.isin(hit).to_numpy(float), index=patients)


def overlap(tables: dict, lineage: str, months: list[float]) -> pd.Series:
    """Share of the sites of a visit that the next visit shows."""
    first, second = (_named(tables, lineage, month) for month in months)
    found = {p: len(first[p] & second[p]) / len(first[p]) for p in first.keys() & second.keys()}
    return pd.Series(found, dtype=float)


def lincoln_petersen(tables: dict, lineage: str, months: list[float]) -> pd.Series:
    """Sites of two visits by Lincoln-Petersen: n1 n2 / both."""
    first, second = (_named(tables, lineage, month) for month in months)
    found = {
        patient: len(first[patient]) * len(second[patient]) / len(first[patient] & second[patient])
        for patient in first.keys() & second.keys()
        if first[patient] & second[patient]
    }
    return pd.Series(found, dtype=float)


def lincoln_petersen_cells(tables: dict, lineage: str, months: list[float]) -> pd.Series:
    """The same per copy of a corrected cell: cells, not insertions."""
    marrow = tables["marrow"]
    copies = marrow[marrow["month"] == months[0]].set_index("patient")["copies_per_corrected"]
    return (lincoln_petersen(tables, lineage, months) / copies).dropna()


def transformed(tables: dict, by_month: float) -> pd.Series:
    """Whether a clone has turned malignant by a month, 0 or 1."""
    events = tables["transformations"]
    hit = set(events.loc[events["month"] <= by_month, "patient"])
    patients = tables["patients"]["patient"]
    return pd.Series([float(p in hit) for p in patients], index=patients)


def transformations_per_100_years(tables: dict, by_month: float) -> pd.Series:
    """Malignant transformations per 100 patient-years, each patient's time until the first."""
    events = tables["transformations"]
    first = events[events["month"] <= by_month].groupby("patient")["month"].min()
    patients = tables["patients"]["patient"]
    years = first.reindex(patients).fillna(by_month) / 12
    return pd.Series(100 * patients.isin(first.index).to_numpy() / years.mean(), index=patients)


def protected_by(tables: dict, cell: str, month: float) -> pd.Series:
    """Whether a count has reached the 10th centile for age at any visit by a month, 0 or 1."""
    rows = tables["reconstitution"]
    rows = rows[(rows["cell"] == cell) & (rows["month"] <= month)]
    return (rows.groupby("patient")["score"].max() >= 100 - 1e-9).astype(float)


def igg_independent(tables: dict, month: float) -> pd.Series:
    """Whether the patient makes enough immunoglobulin to stop its replacement, 0 or 1."""
    rows = tables["immune_markers"]
    return rows[rows["month"] == month].set_index("patient")["igg_independent"].astype(float)


def infections_per_year(tables: dict, who: str) -> pd.Series:
    """Severe infections per year of follow-up: those drawn from month 6 on, or expected of the untreated."""
    risk = tables["infection_risk"]
    if who == "untreated":
        return risk[risk["who"] == who].groupby("patient")["hazard_per_year"].first()
    patients, last = tables["patients"]["patient"], risk["month"].max()
    drawn = tables["infection_episodes"]
    drawn = drawn[(drawn["who"] == who) & (drawn["month"] > FIRST_INFECTION_MONTH)]
    per_patient = drawn.groupby("patient").size().reindex(patients, fill_value=0)
    return per_patient * 12 / (last - FIRST_INFECTION_MONTH)


def _marrow(tables: dict, month: float) -> pd.DataFrame:
    rows = tables["marrow"]
    return rows[rows["month"] == month].set_index("patient")


def _counts(tables: dict, lineage: str, month: float) -> pd.DataFrame:
    rows = tables["counts"]
    rows = rows[(rows["lineage"] == lineage) & (rows["month"] == month)]
    return rows.set_index("patient")


def _samples(tables: dict, lineage: str, month: float):
    rows = tables["integration_sites"]
    return rows[(rows["lineage"] == lineage) & (rows["month"] == month)].groupby("patient")


def _large(tables: dict, lineage: str, month: float):
    rows = tables["integration_sites"]
    rows = rows[(rows["lineage"] == lineage) & (rows["month"] == month)]
    seen = rows.groupby("patient")["fragments"].transform("size")
    return rows[seen >= FEWEST_SITES].groupby("patient")["fragments"]


def _named(tables: dict, lineage: str, month: float) -> dict[int, set]:
    rows = _samples(tables, lineage, month)
    return {patient: set(zip(group["clone"], group["site"], strict=True)) for patient, group in rows}


def _shannon(fragments: pd.Series) -> float:
    share = fragments / fragments.sum()
    return float(-(share * np.log(share)).sum())


def _chao1_ratio(fragments: pd.Series) -> float:
    once, twice = (fragments == 1).sum(), (fragments == 2).sum()
    return 1 + once * (once - 1) / (2 * (twice + 1)) / len(fragments)
