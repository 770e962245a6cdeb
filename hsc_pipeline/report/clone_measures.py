"""What figures of clones draw.  Data frames in, data frames out, nothing random."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.report.measures import SHORT

TOP_CLONES = 12  # with a colour of their own
RANKS = 60  # points of a rank-abundance curve
SITE = ["chromosome", "position", "strand"]
OWNER = ["arm", "patient"]


def top_clones(clone_sizes: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of each patient's largest clones, and of all others together, by month.

    Largest by mean share over the visits, so that a clone's place does not depend on one visit.

    Parameters
    ----------
    clone_sizes : pandas.DataFrame
        arm, patient, month, clone, cells.

    Returns
    -------
    pandas.DataFrame
        arm, patient, month, clone (name), rank (1: the largest; `TOP_CLONES` + 1: all others), share
        (percent of the patient's corrected stem cells), cells.
    """
    parts = []
    for owner, own in clone_sizes.groupby(OWNER, sort=False):
        wide = own.pivot(index="month", columns="clone", values="cells").fillna(0)
        wide = wide.loc[wide.sum(axis=1) > 0]
        ranked = wide.div(wide.sum(axis=1), axis=0).mean().sort_values(ascending=False, kind="stable").index
        top, rest = ranked[:TOP_CLONES], ranked[TOP_CLONES:]
        columns = {(rank, f"clone {clone}"): wide[clone] for rank, clone in enumerate(top, 1)}
        if len(rest):
            columns[(TOP_CLONES + 1, f"all {len(rest):,} others")] = wide[rest].sum(axis=1)
        for (rank, name), cells in columns.items():
            values = {"month": cells.index, "cells": cells.to_numpy(), "clone": name, "rank": rank}
            share = 100 * (cells / wide.sum(axis=1)).to_numpy()
            parts.append(pd.DataFrame(values).assign(share=share, **dict(zip(OWNER, owner, strict=True))))
    columns = [*OWNER, "month", "clone", "rank", "share", "cells"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def with_shares(sites: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `INTEGRATION_SITES` with the ``share`` of each site in its sample, of 1."""
    totals = sites.groupby([*OWNER, "lineage", "month"])["fragments"].transform("sum")
    return sites.assign(share=sites["fragments"] / totals)


def rank_abundance(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the share of fragments by rank, at ranks evenly spaced on a logarithm.

    Returns
    -------
    pandas.DataFrame
        arm, patient, lineage, month, rank, share (of 1).
    """
    by, parts = [*OWNER, "lineage", "month"], []
    for sample, own in sites.groupby(by, sort=False):
        parts.append(abundance(own["fragments"]).assign(**dict(zip(by, sample, strict=True))))
    columns = [*by, "rank", "share"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def abundance(counts: Sequence[float]) -> pd.DataFrame:
    """Return rank and share (of 1) of the clones of one sample, those seen, at `RANKS` ranks or fewer."""
    share = np.sort(np.asarray(counts, float))[::-1] / np.sum(counts)
    at = np.unique(np.geomspace(1, np.count_nonzero(share), RANKS).round().astype(int))
    return pd.DataFrame({"rank": at, "share": share[at - 1]})


def largest_sites(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the sites of each patient with the largest mean share over all samples.

    Returns
    -------
    pandas.DataFrame
        arm, patient, lineage, month, clone (its site, as the field names it), rank, share (of 1).
    """
    shares, parts = with_shares(sites), []
    for _, own in shares.groupby(OWNER, sort=False):
        samples = len(own[["lineage", "month"]].drop_duplicates())
        means = own.groupby(SITE, sort=False)["share"].sum() / samples
        top = means.sort_values(ascending=False, kind="stable").index[:TOP_CLONES]
        ranks = pd.Series(range(1, len(top) + 1), top, name="rank").reset_index()
        parts.append(own.merge(ranks, on=SITE))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(clone=[site_name(*place) for place in rows[[*SITE, "gene"]].itertuples(index=False)])
    return rows[[*OWNER, "lineage", "month", "clone", "rank", "share"]]


def site_name(chromosome: str, position: int, strand: str, gene: str) -> str:
    """Return ``"LMO2 11-33891234"``: the gene named for the site, if any, and the place."""
    place = f"{chromosome}{strand}{position}"
    return f"{gene} {place}" if gene else place


def shared_sites(sites: pd.DataFrame) -> pd.DataFrame:
    """Return what every two samples of a patient share: the Jaccard index of their sites.

    Returns
    -------
    pandas.DataFrame
        arm, patient, a, b (lineage and month of the samples, in this order), jaccard, shared (sites).
    """
    parts = []
    for owner, own in sites.groupby(OWNER, sort=False):
        sample = own["lineage"].map(SHORT) + " " + own["month"].map("{:g}".format)
        order = own.assign(sample=sample).drop_duplicates("sample").sort_values(["lineage", "month"])
        seen = pd.crosstab(own.groupby(SITE).ngroup(), sample)[order["sample"].tolist()]
        seen = seen.gt(0).to_numpy(np.int64)
        shared, size = seen.T @ seen, seen.sum(axis=0)
        either = size[:, None] + size[None, :] - shared
        a, b = np.indices(shared.shape).reshape(2, -1)
        names = order["sample"].to_numpy()
        values = {
            "a": names[a],
            "b": names[b],
            "jaccard": (shared / either).ravel(),
            "shared": shared.ravel(),
        }
        parts.append(pd.DataFrame(values).assign(**dict(zip(OWNER, owner, strict=True))))
    columns = [*OWNER, "a", "b", "jaccard", "shared"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def diversity(
    sites: pd.DataFrame, arms: Sequence[str], patients: Sequence[int], sampling: dict
) -> pd.DataFrame:
    """Return sites and Shannon index of every sample, zero where a sample held none.

    Parameters
    ----------
    sites : pandas.DataFrame
        `INTEGRATION_SITES` with ``arm``.
    sampling : dict
        ``months`` and ``lineages`` of the study.

    Returns
    -------
    pandas.DataFrame
        arm, patient, month, lineage, richness (sites), shannon (nats).
    """
    samples = sites.assign(n_ln_n=sites["fragments"] * np.log(sites["fragments"])).groupby(
        ["arm", "patient", "month", "lineage"]
    )
    n, n_ln_n = samples["fragments"].sum(), samples["n_ln_n"].sum()
    found = pd.DataFrame({"richness": samples.size(), "shannon": (np.log(n) - n_ln_n / n).clip(lower=0)})
    drawn = pd.MultiIndex.from_product(
        [arms, patients, sampling["months"], sampling["lineages"]], names=found.index.names
    )
    return found.reindex(drawn, fill_value=0).reset_index()
