"""The topics of a tracking run: one table each, made of the same observations."""

import logging
from collections.abc import Callable, Mapping

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.alarms import alarms, operating
from hsc_pipeline.tracking.plans import see_change, see_clone
from hsc_pipeline.tracking.run import FEWEST, LINEAGES, MOST_CLONES, OWNER, Run, deep_enough
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


def sharing(run: Run):
    """Yield the clones that lineages of a subject share, from the stable month on."""
    from hsc_pipeline.tracking.sharing import sharing as shared

    late = run.rows[run.rows["month"] >= run.settings["stem_cells"]["from_month"]]
    for (subject, tissue), own in late.groupby(["subject", "tissue"], observed=True):
        names, group = np.unique(own["lineage"].astype(str).to_numpy(), return_inverse=True)
        if len(names) < 2:
            continue
        found = shared(group, own["clone"].cat.codes.to_numpy())
        yield found.assign(
            subject=str(subject),
            tissue=str(tissue),
            lineage_a=names[found["group_a"]],
            lineage_b=names[found["group_b"]],
        )


def seen(run: Run):
    """Yield when each clone was seen first and last, in how many months and lineages."""
    from hsc_pipeline.tracking.sharing import seen as first_and_last

    for subject, own in run.rows.groupby("subject", observed=True):
        codes, names = own["clone"].cat.codes.to_numpy(), own["clone"].cat.categories.to_numpy()
        found = first_and_last(np.zeros(len(own), np.int64), own["month"].to_numpy(), codes)
        pairs = own.assign(code=codes)[["code", "lineage"]].drop_duplicates()
        lineages = pairs["code"].value_counts()
        yield found.assign(
            subject=str(subject),
            lineages=found["clone"].map(lineages),
            clone=names[found["clone"]],
        )


def accumulation(run: Run):
    """Yield the distinct clones of each series up to each month."""
    from hsc_pipeline.tracking.sharing import accumulation as accumulated

    for one in run.series:
        clone, visit = np.nonzero(one.counts)
        yield accumulated(np.zeros(len(clone), np.int64), one.months[visit], clone).assign(**one.owner)


def multilineage(run: Run):
    """Yield the share of clones that serve several lineages, corrected for sampling."""
    import pandas as pd

    from hsc_pipeline.tracking.multilineage import multilineage as estimate

    if not run.whole_counts:
        return
    for subject, names, counts, _ in _by_lineage(run):
        try:
            found = estimate(counts)
        except UserError as error:
            logger.info("%s: %s", subject, error)
            continue
        row = {name: [getattr(found, name)] for name in ("naive", "estimate", "low", "high")}
        yield pd.DataFrame(
            {"subject": [subject], "lineages": [", ".join(names)], "clones": [len(counts)], **row}
        )


def bias(run: Run):
    """Yield how much larger the largest clones are in one lineage than in the others."""
    from hsc_pipeline.tracking.sharing import lineage_bias

    if not run.whole_counts:
        return
    for subject, names, counts, clones in _by_lineage(run):
        top = np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_CLONES]
        found = lineage_bias(counts[top], counts.sum(axis=0))
        yield found.assign(
            subject=subject, clone=clones[top][found["clone"]], lineage=np.array(names)[found["lineage"]]
        )


def _by_lineage(run: Run):
    """Yield subject, lineages, whole counts (clones, lineages) and clones, of the stable months."""
    wanted = run.settings["stem_cells"]
    rows = run.rows[(run.rows["month"] >= wanted["from_month"]) & (run.rows["tissue"] == wanted["tissue"])]
    rows = rows[rows["lineage"].isin(LINEAGES)]
    for subject, own in rows.groupby("subject", observed=True):
        lineage = own["lineage"].astype(str).to_numpy()
        names = [name for name in LINEAGES if own.loc[lineage == name, "count"].sum() >= FEWEST]
        own = own[np.isin(lineage, names)]
        if len(names) < 2:
            continue
        codes, clone = np.unique(own["clone"].cat.codes.to_numpy(), return_inverse=True)
        counts = np.zeros((len(codes), len(names)))
        at = [names.index(name) for name in own["lineage"].astype(str)]
        np.add.at(counts, (clone, at), own["count"].to_numpy())
        yield str(subject), names, whole(counts), own["clone"].cat.categories.to_numpy()[codes]


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
            fixed = corrected_population(counts, copies_per_cell=copies, seed=run.settings["seed"])
            kept = ["estimator", "factor", "clones", "low", "high", "cells", "cells_low", "cells_high"]
            table = table.merge(fixed[kept], on="estimator", how="left")
        except UserError as error:
            logger.info("%s: %s", one.subject, error)
        yield table.assign(**one.owner, copies=copies, occasions=counts.shape[1], seen=len(counts))


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
    from hsc_pipeline.tracking.selection import Drift, drift_or_selection

    if not run.whole_counts:
        return
    for one in run.marrow():
        counts, marked = whole(one.counts), run.marked(len(one.clones))
        top = np.argsort(-(counts / counts.sum(axis=0)).max(axis=1), kind="stable")
        top = top[(counts[top] > 0).sum(axis=1) >= 2][:MOST_CLONES]
        if counts.shape[1] < 3 or not len(top):
            continue
        clones = min(2 * len(counts), marked)
        drift = Drift(
            months=one.months, totals=counts.sum(axis=0).astype(float), stem_cells=marked, clones=clones
        )
        found = drift_or_selection(counts[top], drift, seed=run.settings["seed"])
        share = one.counts[top] / one.counts.sum(axis=0)
        yield found.assign(
            **one.owner, clone=one.clones[top], first_share=share[:, 0], last_share=share[:, -1]
        )


def common_sites(run: Run):
    """Yield the windows of the genome with too many sites, in all subjects together."""
    from hsc_pipeline.catalogue import tables
    from hsc_pipeline.tracking.sites import scan

    if not run.has_sites:
        return
    names = ["chromosome", "position", "strand", "gene"]
    sites = run.observations.clones.select(names).to_pandas().drop_duplicates(names[:3])
    lengths = dict(tables()["chromosomes"]["rows"])
    sites = sites[sites["chromosome"].isin(lengths)]
    found = scan(sites["chromosome"].astype(str).to_numpy(), sites["position"].to_numpy(float), lengths)
    yield found.assign(genes=[_genes(sites, row) for row in found.itertuples()])


def _genes(sites, window) -> str:
    inside = sites[
        (sites["chromosome"] == window.chromosome) & sites["position"].between(window.start, window.end)
    ]
    return ", ".join(sorted({str(gene) for gene in inside["gene"] if gene}))


def listed_genes(run: Run):
    """Yield the genes of the user's list in which clones were found, with the largest of these clones."""
    import pandas as pd

    from hsc_pipeline.tracking.sites import annotate

    if not run.settings["genes"]:
        return
    listed = pd.read_csv(run.settings["genes"], dtype=str, keep_default_na=False)
    if "class" not in listed.columns:
        raise UserError(f"{run.settings['genes']}: no column 'class'; it has {', '.join(listed.columns)}")
    names = ["subject", "month", "lineage", "sample", "clone", "count", "gene"]
    rows = run.observations.clones.select(names).to_pandas()
    rows["share"] = rows["count"] / rows.groupby("sample", observed=True)["count"].transform("sum")
    rows = rows[rows["gene"].isin(listed["gene"])].astype({"subject": str, "gene": str, "clone": str})
    largest = rows.sort_values("share", ascending=False, kind="stable").drop_duplicates(["subject", "gene"])
    number = rows.groupby(["subject", "gene"])["clone"].nunique().rename("sites").reset_index()
    found = largest.merge(number, on=["subject", "gene"])
    yield found.assign(**{"class": annotate(found["gene"], listed)["class"].to_numpy()})


TOPICS: Mapping[str, Callable] = {
    make.__name__: make
    for make in (
        *(diversity, rarefied, depth, sharing, seen, accumulation, multilineage, bias, stem_cells),
        *(phylogeny, clinical, alarms, operating, selection, common_sites, listed_genes),
        *(see_clone, see_change),
    )
}
# Owner stands for subject, tissue and lineage.
COLUMNS: Mapping[str, str] = {
    "diversity": "subject month tissue lineage sample assay total richness chao1 chao1_low chao1_high "
    "shannon simpson inverse_simpson pielou gini uc50 uc50_half top1 top10",
    "rarefied": "owner month depth measure estimate low high",
    "depth": "owner month_a month_b measure depth first second difference low high p",
    "sharing": "subject tissue lineage_a lineage_b n_a n_b shared jaccard frac_a frac_b",
    "seen": "subject clone first last times lineages",
    "accumulation": "owner time clones new cumulative",
    "multilineage": "subject lineages clones naive estimate low high",
    "bias": "subject clone lineage count log2_ratio low high p p_adjusted",
    "stem_cells": "owner occasions seen estimator estimate standard_error factor clones low high "
    "copies cells cells_low cells_high",
    "phylogeny": "subject month sample colonies coalescences founders_low founders_median founders_high",
    "clinical": "subject month measure lineage value unit below_limit",
    "alarms": "owner rule month clone share",
    "operating": "schedule samples rule false_alarms_per_patient_year false_low false_high "
    "patients_alarmed advantage detected detected_low detected_high months_to_detection share_at_detection",
    "selection": "owner clone first_share last_share bayes_factor probability advantage low high p flagged",
    "common_sites": "chromosome start end sites expected p genes",
    "listed_genes": "subject gene class sites clone lineage month share",
    "see_clone": "lineage share fragments chance stated ng corrected capture ng_needed samples_needed "
    "month_at_0.5 month_at_1",
    "see_change": "fold clones times_dna fragments occasions ln_error power",
}


def columns_of(topic: str) -> list[str]:
    """Return the columns of the table of a topic."""
    return COLUMNS[topic].replace("owner", " ".join(OWNER)).split()
