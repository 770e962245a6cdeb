"""The topics of a tracking run: one table each, made of the same observations."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import Observations
from hsc_pipeline.tracking.series import Series, all_series, frame, whole

logger = logging.getLogger("hsc_pipeline")

LINEAGES = ("Myeloid", "B", "T", "NK")  # that share no cell; progenitors and whole blood hold several
FEWEST = 50  # counts of a sample below which it says next to nothing
MOST_CLONES = 30  # of a subject that are looked at one by one
PATIENTS = 100  # virtual ones for the rules
ADVANTAGES = (0.5, 1.0)


@dataclass(frozen=True)
class Run:
    """What topics read.

    Attributes
    ----------
    observations : Observations
    settings : mapping
        The filled `settings.TrackingFile`.
    """

    observations: Observations
    settings: Mapping

    @cached_property
    def rows(self):
        """Clones with a month, as a data frame."""
        return frame(self.observations)

    @cached_property
    def series(self) -> list[Series]:
        """All series."""
        return list(all_series(self.rows))

    @property
    def whole_counts(self) -> bool:
        """Whether counts stand for cells, so that sampling theory holds; reads do not."""
        return self.observations.assay not in ("reads", "unstated")

    def marrow(self) -> Iterable[Series]:
        """Yield the series that tell of stem cells, from the month on from which they are stable."""
        wanted = self.settings["stem_cells"]
        for one in self.series:
            if (one.lineage, one.tissue) == (wanted["lineage"], wanted["tissue"]):
                late = one.since(wanted["from_month"])
                if late.counts.size:
                    yield late


def measure(topic: str, run: Run):
    """Return the table of one topic as a data frame; empty with its columns where nothing can be said."""
    import pandas as pd

    make, columns = TOPICS[topic]
    rows = list(make(run))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    logger.info("%s: %d rows", topic, len(table))
    return table.reindex(columns=columns)


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


def depth(run: Run):
    """Yield whether the diversity of the last sample of a series differs from the first at one depth."""
    from hsc_pipeline.tracking.rarefaction import compare_at_depth

    if not run.whole_counts:
        return
    for one in run.series:
        late = one.since(run.settings["stem_cells"]["from_month"])
        deep = np.flatnonzero(late.counts.sum(axis=0) >= FEWEST) if late.counts.size else []
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

    copies = run.settings["stem_cells"]["copies_per_cell"]
    for one in run.marrow():
        seen = one.counts.any(axis=0)
        counts = one.counts[:, seen]
        if counts.shape[1] < 2:
            continue
        counts = whole(counts) if run.whole_counts else counts > 0
        table = population_size(counts > 0)
        try:
            fixed = corrected_population(counts, copies_per_cell=copies, seed=run.settings["seed"])
            kept = ["estimator", "factor", "clones", "low", "high", "cells", "cells_low", "cells_high"]
            table = table.merge(fixed[kept], on="estimator", how="left")
        except UserError as error:
            logger.info("%s: %s", one.subject, error)
        yield table.assign(**one.owner, occasions=counts.shape[1], seen=len(counts))


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


QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}


def alarms(run: Run):
    """Yield every alarm of every rule, with the clone and its share."""
    import pandas as pd

    from hsc_pipeline.tracking.dominance import rules

    named = rules()
    for one in run.series:
        share = one.counts / np.maximum(one.counts.sum(axis=0), 1)
        for name, rule in named.items():
            flagged = rule(one.counts)
            at = np.flatnonzero(flagged >= 0)
            clone = flagged[at]
            yield pd.DataFrame(
                {
                    **one.owner,
                    "rule": name,
                    "month": one.months[at],
                    "clone": one.clones[clone],
                    "share": share[clone, at],
                }
            )


def operating(run: Run):
    """Yield false alarms and times to detection of every rule, under this study's sampling and others."""
    from hsc_pipeline.tracking.operating import Sampling, operating_characteristics

    series = list(run.marrow())
    visits = [one.months for one in series if len(one.months) > 1]
    if not visits:
        return
    totals = np.concatenate([one.counts.sum(axis=0) for one in series])
    clones = int(np.median([len(one.clones) for one in series]))
    marked = max(run.settings["stem_cells"]["marked"], clones)
    own = max(visits, key=len)
    last = float(own[-1])
    schedules = {
        "as sampled": own.tolist(),
        "every 6 months": np.arange(6, last + 1, 6).tolist(),
        "every 12 months": np.arange(12, last + 1, 12).tolist(),
    }
    schedules = {name: months for name, months in schedules.items() if len(months) > 1}
    sampling = Sampling(
        fragments=max(float(np.median(totals)), 1.0), clones=max(clones, 2), stem_cells=marked
    )
    yield operating_characteristics(
        sampling, schedules, advantages=ADVANTAGES, patients=PATIENTS, seed=run.settings["seed"]
    )


def selection(run: Run):
    """Yield drift or selection of the largest clones that were seen at two visits or more."""
    from hsc_pipeline.tracking.selection import Drift, drift_or_selection

    if not run.whole_counts:
        return
    marked = run.settings["stem_cells"]["marked"]
    for one in run.marrow():
        counts = whole(one.counts)
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


def collisions(run: Run):
    """Yield the sites that were found in several subjects, and whose they are."""
    import pandas as pd

    from hsc_pipeline.tracking.sites import remove_collisions

    rows = run.rows
    site, subject = rows["clone"].cat.codes.to_numpy(), rows["subject"].cat.codes.to_numpy()
    pairs = pd.DataFrame({"site": site, "subject": subject}).drop_duplicates()
    several = pairs["site"].value_counts()
    chosen = np.isin(site, several.index[several > 1])
    if not chosen.any() or not _has_sites(run):
        return
    kept = remove_collisions(subject, site, rows["count"].to_numpy())
    found = rows.assign(kept=kept)[chosen].groupby(["clone", "subject"], observed=True)
    yield found.agg(count=("count", "sum"), kept=("kept", "first")).reset_index()


def common_sites(run: Run):
    """Yield the windows of the genome with too many sites, in all subjects together."""
    from hsc_pipeline.catalogue import tables
    from hsc_pipeline.tracking.sites import scan

    if not _has_sites(run):
        return
    names = ["chromosome", "position", "strand", "gene"]
    sites = run.observations.clones.select(names).to_pandas().drop_duplicates(names[:3])
    lengths = dict(tables()["chromosomes"]["rows"])
    sites = sites[sites["chromosome"].isin(lengths)]
    found = scan(sites["chromosome"].astype(str).to_numpy(), sites["position"].to_numpy(float), lengths)
    yield found.assign(genes=[_genes(sites, row, run) for row in found.itertuples()])


def _genes(sites, window, run: Run) -> str:
    inside = sites[
        (sites["chromosome"] == window.chromosome) & sites["position"].between(window.start, window.end)
    ]
    return ", ".join(sorted({str(gene) for gene in inside["gene"] if gene}))


def _has_sites(run: Run) -> bool:
    return run.observations.clones["position"].null_count < len(run.observations.clones)


OWNER = ("subject", "tissue", "lineage")
TOPICS: Mapping[str, tuple[Callable, tuple[str, ...]]] = {
    "diversity": (
        diversity,
        (
            *("subject", "month", "tissue", "lineage", "sample", "assay", "total", "richness", "chao1"),
            *("chao1_low", "chao1_high", "shannon", "simpson", "inverse_simpson", "pielou", "gini"),
            *("uc50", "uc50_half", "top1", "top10"),
        ),
    ),
    "depth": (
        depth,
        (
            *(*OWNER, "month_a", "month_b", "measure", "depth", "first", "second", "difference"),
            *("low", "high", "p"),
        ),
    ),
    "sharing": (
        sharing,
        (
            *(
                "subject",
                "tissue",
                "lineage_a",
                "lineage_b",
                "n_a",
                "n_b",
                "shared",
                "jaccard",
                "frac_a",
                "frac_b",
            ),
        ),
    ),
    "accumulation": (accumulation, (*OWNER, "time", "clones", "new", "cumulative")),
    "multilineage": (multilineage, ("subject", "lineages", "clones", "naive", "estimate", "low", "high")),
    "bias": (bias, ("subject", "clone", "lineage", "count", "log2_ratio", "low", "high", "p", "p_adjusted")),
    "stem_cells": (
        stem_cells,
        (
            *(
                *OWNER,
                "occasions",
                "seen",
                "estimator",
                "estimate",
                "standard_error",
                "factor",
                "clones",
                "low",
            ),
            *("high", "cells", "cells_low", "cells_high"),
        ),
    ),
    "phylogeny": (
        phylogeny,
        (
            "subject",
            "month",
            "sample",
            "colonies",
            "coalescences",
            *(f"founders_{name}" for name in QUANTILES),
        ),
    ),
    "alarms": (alarms, (*OWNER, "rule", "month", "clone", "share")),
    "operating": (
        operating,
        (
            *("schedule", "samples", "rule", "false_alarms_per_patient_year", "false_low", "false_high"),
            *("patients_alarmed", "advantage", "detected", "detected_low", "detected_high"),
            *("months_to_detection", "share_at_detection"),
        ),
    ),
    "selection": (
        selection,
        (
            *(
                *OWNER,
                "clone",
                "first_share",
                "last_share",
                "bayes_factor",
                "probability",
                "advantage",
                "low",
            ),
            *("high", "p", "flagged"),
        ),
    ),
    "collisions": (collisions, ("clone", "subject", "count", "kept")),
    "common_sites": (common_sites, ("chromosome", "start", "end", "sites", "expected", "p", "genes")),
}
