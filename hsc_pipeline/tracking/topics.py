"""The topics of a tracking run: one table each, made of the same observations."""

import logging
from collections.abc import Callable, Mapping

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.alarms import alarms, operating
from hsc_pipeline.tracking.loci import common_genes, common_sites, enriched_genes, listed_genes
from hsc_pipeline.tracking.plans import see_change, see_clone
from hsc_pipeline.tracking.relations import (
    accumulation,
    bias,
    correlation,
    multilineage,
    persistence,
    seen,
    sharing,
)
from hsc_pipeline.tracking.run import LINEAGES, MOST_CLONES, OWNER, Run, deep_enough
from hsc_pipeline.tracking.series import whole

logger = logging.getLogger("hsc_pipeline")

QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}


def measure(topic: str, run: Run):
    """Return the table of one topic as a data frame; empty with its columns where nothing can be said."""
    import pandas as pd

    rows = list(TOPICS[topic](run))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    logger.info("%s: %d rows", topic, len(table))
    return table.reindex(columns=columns_of(topic))


def diversity(run: Run):
    """Yield the indices of every sample, with the interval of Chao1 where counts are of cells."""
    from hsc_pipeline.tracking.indices import chao1_interval
    from hsc_pipeline.tracking.metrics import sample_metrics, sample_numbers

    table = sample_metrics(run.observations)
    low, high = np.full(len(table), np.nan), np.full(len(table), np.nan)
    if run.whole_counts:
        number, counts = sample_numbers(run.observations)
        order = np.argsort(number, kind="stable")
        ends = np.searchsorted(number[order], np.arange(len(table) + 1))
        place = {name: i for i, name in enumerate(run.observations.samples["sample"].to_pylist())}
        for at, name in enumerate(table["sample"]):
            own = order[ends[place[name]] : ends[place[name] + 1]]
            if len(own):
                _, low[at], high[at] = chao1_interval(counts[own])
    yield table.assign(chao1_low=low, chao1_high=high)


def rarefied(run: Run):
    """Yield the diversity of every sample of a series at one depth, that of its smallest, with interval."""
    from hsc_pipeline.tracking.rarefaction import rarefaction

    if not run.whole_counts:
        return
    for one in run.series:
        deep = deep_enough(one)
        if len(deep) < 2:
            continue
        counts = whole(one.counts[:, deep])
        least = int(counts.sum(axis=0).min())
        for at, month in enumerate(one.months[deep]):
            try:
                found = rarefaction(counts[:, at], [least], seed=run.settings["seed"])
            except UserError as error:
                logger.info("%s, month %g: %s", one.subject, month, error)
                continue
            yield found.assign(**one.owner, month=month)


def curves(run: Run):
    """Yield richness by depth, rarefied and extrapolated, of first and last samples of `Run.marrow`."""
    from hsc_pipeline.tracking.rarefaction import rarefaction

    if not run.whole_counts:
        return
    for one in run.marrow():
        deep = deep_enough(one)
        for at in dict.fromkeys([*deep[:1], *deep[-1:]]):
            counts = whole(one.counts[:, at])
            try:
                found = rarefaction(counts, _depths(int(counts.sum())), seed=run.settings["seed"])
            except UserError as error:
                logger.info("%s, month %g: %s", one.subject, one.months[at], error)
                continue
            found = found[found["measure"] == "richness"]
            yield found.assign(**one.owner, month=one.months[at], own_depth=int(counts.sum()))


def _depths(n: int) -> list[int]:
    """Return depths up to twice a sample's own, which is one of them."""
    return sorted({max(round(part * n), 1) for part in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.25, 1.5, 2)})


def depth(run: Run):
    """Yield whether the diversity of the last sample of a series differs from the first at one depth."""
    from hsc_pipeline.tracking.rarefaction import compare_at_depth

    if not run.whole_counts:
        return
    for one in run.series:
        late = one.since(run.settings["stem_cells"]["from_month"])
        deep = deep_enough(late)
        if len(deep) < 2:
            continue
        first, last = deep[0], deep[-1]
        found = compare_at_depth(late.counts[:, first], late.counts[:, last], seed=run.settings["seed"])
        yield found.assign(**one.owner, month_a=late.months[first], month_b=late.months[last])


def stem_cells(run: Run):
    """Yield the number of clones by every estimator, and corrected for its bias in this study."""
    from hsc_pipeline.tracking.corrected_population import corrected_population
    from hsc_pipeline.tracking.population import population_size

    for one in run.marrow():
        counts = one.counts[:, one.counts.any(axis=0)]
        if counts.shape[1] < 2:
            continue
        copies = run.copies(one.subject)
        counts = whole(counts) if run.whole_counts else counts > 0
        table = population_size(counts > 0)
        try:
            fixed = corrected_population(
                counts,
                copies_per_cell=copies,
                seed=run.settings["seed"],
                months=one.months[one.counts.any(axis=0)],
                foreign=_foreign(run, one)[one.counts.any(axis=0)],
            )
            kept = ["estimator", "factor", "clones", "low", "high", "cells", "cells_low", "cells_high"]
            kept += ["lost", "note"]
            table = table.merge(fixed[kept], on="estimator", how="left")
        except UserError as error:
            logger.info("%s: %s", one.subject, error)
        yield table.assign(**one.owner, copies=copies, occasions=counts.shape[1], seen=len(counts))


def _foreign(run: Run, one) -> np.ndarray:
    """Return the share of the fragments of each sample that cells of other sorts are expected to bring in.

    Impurity of the sort times VCN of lymphocytes against its own: where few stem cells are corrected
    and most lymphocytes are, a pure sort may still be half foreign by fragments.  0 without VCN.
    """
    from hsc_pipeline.catalogue import branch_values

    values = branch_values("tracking")
    purity = values.get(f"sort.purity.{one.lineage.lower()}", values["sort.purity.myeloid"]).value
    samples = run.observations.samples.to_pandas()
    samples = samples[(samples["subject"] == one.subject) & (samples["tissue"] == one.tissue)]
    own = samples[samples["lineage"] == one.lineage].groupby("month")["vcn"].mean()
    others = samples[samples["lineage"].isin(set(LINEAGES) - {one.lineage})].groupby("month")["vcn"].mean()
    ratio = (others / own).reindex(one.months).replace(np.inf, np.nan)
    stray = (1 - purity) * (ratio if ratio.isna().all() else ratio.fillna(ratio.median())).fillna(0)
    return (stray / (purity + stray)).to_numpy(float)


def phylogeny(run: Run):
    """Yield the founders that colonies and their coalescences tell of."""
    import pandas as pd

    from hsc_pipeline.formats import read_colonies
    from hsc_pipeline.tracking.coalescence import coalescence_posterior, posterior_quantile

    if not run.settings["colonies"]:
        return
    for row in read_colonies(run.settings["colonies"]).to_pylist():
        posterior = coalescence_posterior(row["colonies"], row["coalescences"])
        found = {f"founders_{name}": posterior_quantile(posterior, q) for name, q in QUANTILES.items()}
        yield pd.DataFrame([{**row, **found}])


def clinical(run: Run):
    """Yield the clinical series, as they were read."""
    from hsc_pipeline.formats import read_clinical

    if run.settings["clinical"]:
        yield read_clinical(run.settings["clinical"]).to_pandas()


def selection(run: Run):
    """Yield drift or selection of the largest clones that were seen at two visits or more."""
    from hsc_pipeline.tracking.selection import Drift, drift_or_selection, fit_drift, overdispersion

    if not run.whole_counts:
        return
    for one in run.marrow():
        one = one.at(deep_enough(one))
        counts, marked = whole(one.counts), run.marked(len(one.clones))
        top = np.argsort(-(counts / counts.sum(axis=0)).max(axis=1), kind="stable")
        top = top[(counts[top] > 0).sum(axis=1) >= 2][:MOST_CLONES]
        if counts.shape[1] < 3 or not len(top):
            continue
        clones, totals = min(2 * len(counts), marked), counts.sum(axis=0).astype(float)
        drift = Drift(months=one.months, totals=totals, stem_cells=marked, clones=clones)
        drift = fit_drift(counts, drift, seed=run.settings["seed"])
        wide = overdispersion(counts, drift)
        # The largest of all clones were chosen, so all are the family.
        found = drift_or_selection(
            counts[top], drift, seed=run.settings["seed"], family=len(counts), overdispersion=wide
        )
        share = one.counts[top] / one.counts.sum(axis=0)
        yield found.assign(
            **one.owner, clone=one.clones[top], first_share=share[:, 0], last_share=share[:, -1]
        )


TOPICS: Mapping[str, Callable] = {
    make.__name__: make
    for make in (
        *(diversity, rarefied, curves, depth, sharing, persistence, correlation, seen, accumulation),
        *(multilineage, bias, stem_cells, phylogeny, clinical, alarms, operating, selection),
        *(common_sites, common_genes, enriched_genes, listed_genes, see_clone, see_change),
    )
}
# Owner stands for subject, tissue and lineage.
COLUMNS: Mapping[str, str] = {
    "diversity": "subject month tissue lineage sample assay total richness chao1 chao1_low chao1_high "
    "shannon simpson inverse_simpson pielou gini uc50 uc50_half top1 top10",
    "rarefied": "owner month depth measure estimate low high",
    "curves": "owner month own_depth depth estimate low high extrapolated",
    "depth": "owner month_a month_b measure depth first second difference low high p",
    "sharing": "subject tissue lineage_a lineage_b n_a n_b shared jaccard frac_a frac_b",
    "persistence": "owner month_a month_b n_a n_b shared jaccard frac_a frac_b",
    "correlation": "subject tissue lineage_a month_a lineage_b month_b place_a place_b correlation",
    "seen": "subject clone first last times lineages",
    "accumulation": "owner time clones new cumulative",
    "multilineage": "subject lineages clones naive pure_estimate pure_low pure_high estimate low high",
    "bias": "subject clone lineage count log2_ratio low high p p_adjusted",
    "stem_cells": "owner occasions seen estimator estimate standard_error factor clones low high "
    "copies cells cells_low cells_high lost note",
    "phylogeny": "subject month sample colonies coalescences founders_low founders_median founders_high",
    "clinical": "subject month measure lineage value unit below_limit",
    "alarms": "owner rule month clone share",
    "operating": "schedule samples rule false_alarms_per_patient_year false_low false_high "
    "patients_alarmed advantage detected detected_low detected_high months_to_detection share_at_detection",
    "selection": "owner clone first_share last_share bayes_factor probability advantage low high p flagged",
    "common_sites": "against chromosome start end sites expected p genes",
    "common_genes": "gene length sites z p p_bonferroni p_fdr unlisted",
    "enriched_genes": "against gene sites background odds_ratio p p_adjusted",
    "listed_genes": "subject gene class sites clone lineage month share",
    "see_clone": "lineage share fragments chance stated ng corrected capture ng_needed samples_needed "
    "month_at_0.5 month_at_1",
    "see_change": "fold clones times_dna fragments occasions ln_error power power_low power_high",
}


def columns_of(topic: str) -> list[str]:
    """Return the columns of the table of a topic."""
    return COLUMNS[topic].replace("owner", " ".join(OWNER)).split()
