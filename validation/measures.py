"""What validation reads off the simulated tables: one number a patient."""

import numpy as np
import pandas as pd

FEWEST_SITES = 100  # sites of a sample, as the published figures ask


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
