"""Topics of a tracking run on what samples and lineages have in common."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.run import FEWEST, LINEAGES, MOST_CLONES, Run, deep_enough
from hsc_pipeline.tracking.series import whole

logger = logging.getLogger("hsc_pipeline")


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


def persistence(run: Run):
    """Yield the clones that a sample of a series shares with the next one."""
    from hsc_pipeline.tracking.sharing import consecutive
    from hsc_pipeline.tracking.sharing import sharing as shared

    for one in run.series:
        deep = deep_enough(one)
        if len(deep) < 2:
            continue
        clone, visit = np.nonzero(one.counts[:, deep])
        months = one.months[deep]
        found = shared(visit, clone, consecutive(np.zeros(len(deep)), months))
        yield found.assign(**one.owner, month_a=months[found["group_a"]], month_b=months[found["group_b"]])


def correlation(run: Run):
    """Yield how clone shares of every two samples of a subject correlate, and their order by likeness."""
    import pandas as pd

    from hsc_pipeline.tracking.sharing import clustered
    from hsc_pipeline.tracking.sharing import correlation as correlated

    wanted = run.settings["stem_cells"]
    rows = run.rows[run.rows["tissue"] == wanted["tissue"]]
    rows = rows[rows["lineage"].isin([wanted["lineage"], *LINEAGES])]
    for subject, own in rows.groupby("subject", observed=True):
        deep = own.groupby(["lineage", "month"], observed=True)["count"].transform("sum") >= FEWEST
        own = own[deep]
        grouped = own.groupby(["lineage", "month"], observed=True)
        names = grouped.size().reset_index()
        if len(names) < 2:
            continue
        clone = np.unique(own["clone"].cat.codes.to_numpy(), return_inverse=True)[1]
        matrix = correlated(grouped.ngroup().to_numpy(), clone, own["count"].to_numpy())
        order = clustered(matrix)
        a, b = np.triu_indices(len(order), 1)
        columns = {"place_a": a, "place_b": b, "correlation": matrix[order[a], order[b]]}
        for end, at in (("a", order[a]), ("b", order[b])):
            columns |= {f"lineage_{end}": names["lineage"].astype(str).to_numpy()[at]}
            columns |= {f"month_{end}": names["month"].to_numpy()[at]}
        yield pd.DataFrame(columns).assign(subject=str(subject), tissue=wanted["tissue"])


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
    """Yield the share of clones that serve several lineages: seen, corrected for sampling, and sorting."""
    import pandas as pd

    from hsc_pipeline.tracking.multilineage import multilineage as estimate

    if not run.whole_counts:
        return
    for subject, names, counts, _ in by_lineage(run):
        try:
            pure, found = estimate(counts), estimate(counts, leak_of(names, run.settings["leak"]))
        except UserError as error:
            logger.info("%s: %s", subject, error)
            continue
        row = {"subject": subject, "lineages": ", ".join(names), "clones": len(counts), "naive": found.naive}
        row |= {f"pure_{name}": getattr(pure, name) for name in ("estimate", "low", "high")}
        row |= {name: getattr(found, name) for name in ("estimate", "low", "high")}
        yield pd.DataFrame([row])


def leak_of(names: Sequence[str], stated: Mapping[str, Mapping[str, float]] | None) -> np.ndarray:
    """Return the share of each sort's fragments that comes from cells of each other lineage.

    Parameters
    ----------
    names : sequence of str
        Lineages.
    stated : mapping, optional
        ``leak`` of the tracking file; what it leaves out is 0.  None: the catalogue's purity, and
        the rest of a sort evenly of the others.

    Returns
    -------
    array of float, shape (lineages, lineages)
        The diagonal is 0.
    """
    from hsc_pipeline.catalogue import branch_values

    if stated is not None:
        return np.array([[stated.get(sort, {}).get(other, 0.0) for other in names] for sort in names])
    values = branch_values("tracking")
    strange = np.array([1 - values[f"sort.purity.{name.lower()}"].value for name in names])
    return np.where(np.eye(len(names), dtype=bool), 0.0, strange[:, None] / (len(names) - 1))


def bias(run: Run):
    """Yield how much larger the largest clones are in one lineage than in the others."""
    from hsc_pipeline.tracking.sharing import lineage_bias

    if not run.whole_counts:
        return
    for subject, names, counts, clones in by_lineage(run):
        top = np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_CLONES]
        found = lineage_bias(counts[top], counts.sum(axis=0))
        yield found.assign(
            subject=subject, clone=clones[top][found["clone"]], lineage=np.array(names)[found["lineage"]]
        )


def by_lineage(run: Run):
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
        at = np.array([names.index(name) for name in own["lineage"].astype(str)], np.int64)
        np.add.at(counts, (clone, at), own["count"].to_numpy())
        yield str(subject), names, whole(counts), own["clone"].cat.categories.to_numpy()[codes]
