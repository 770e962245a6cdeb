"""What is done to integration sites before anything is measured, and what it would change."""

import numpy as np
import pyarrow as pa

from hsc_pipeline.formats import CLONES, Observations

SITE = ["clone", "chromosome", "strand", "position", "gene"]
NEAR, COLLISIONS = ("subject", "clone", "near_to", "count"), ("clone", "subject", "count", "kept")


def clean(observations: Observations, near: str = "keep", collisions: str = "keep"):
    """Merge sites of a subject that are near one another, and remove those that are not its own.

    Parameters
    ----------
    observations : Observations
    near : str
        ``merge`` or ``keep``; see `sites.merge_near`.
    collisions : str
        ``remove`` or ``keep``; see `sites.remove_collisions`.  Found after sites are merged.

    Returns
    -------
    observations : Observations
    found : dict of str to pandas.DataFrame
        ``near_sites``: ``subject, clone, near_to, count``; ``collisions``: ``clone, subject, count, kept``.
        Both whatever was done, and empty for clones without a position.
    """
    rows = observations.clones.to_pandas()
    close = near_sites(rows)
    if near == "merge" and len(close):
        rows = merged(rows, close)
    shared = colliding(rows)
    if collisions == "remove" and len(shared):
        lost = shared.loc[~shared["kept"], ["subject", "clone"]].assign(lost=True)
        rows = rows[rows.merge(lost, on=["subject", "clone"], how="left")["lost"].isna().to_numpy()]
    if len(rows) < observations.clones.num_rows:
        table = pa.Table.from_pandas(rows, observations.clones.schema, preserve_index=False)
        observations = Observations(CLONES.check(table), observations.samples, observations.assay)
    return observations, {"near_sites": close, "collisions": shared}


def near_sites(rows):
    """Return the sites of a subject that lie near a larger one, ``subject, clone, near_to, count``."""
    from hsc_pipeline.tracking.sites import merge_near

    placed = _by_subject(rows.dropna(subset="position"))
    place = placed["subject"] + "\t" + placed["chromosome"]
    to = merge_near(place, placed["strand"], placed["position"], placed["count"])
    found = placed.assign(near_to=placed["clone"].to_numpy()[to])
    return found.loc[to != np.arange(len(to)), list(NEAR)].reset_index(drop=True)


def merged(rows, near):
    """Return clones with each near site under the name and place of the larger one, counts added."""
    names = rows.columns.to_list()
    rows = rows.astype({name: object for name in ("subject", *SITE) if name != "position"})
    sites = rows.drop_duplicates(["subject", "clone"])[["subject", *SITE]].rename(
        columns={"clone": "near_to"}
    )
    target = near.drop(columns="count").merge(sites, on=["subject", "near_to"])
    moved = rows[["subject", "clone"]].merge(target, on=["subject", "clone"], how="left")
    hit = moved["near_to"].notna().to_numpy()
    rows = rows.reset_index(drop=True)
    for name, source in zip(SITE, ["near_to", *SITE[1:]], strict=True):
        rows.loc[hit, name] = moved.loc[hit, source]
    keys = [name for name in names if name != "count"]
    return rows.groupby(keys, sort=False, dropna=False, observed=True, as_index=False)["count"].sum()[names]


def colliding(rows):
    """Return the sites of several subjects and whether they stay, ``clone, subject, count, kept``."""
    from hsc_pipeline.tracking.sites import remove_collisions

    placed = _by_subject(rows.dropna(subset="position"))
    found = placed[placed["clone"].duplicated(keep=False)].sort_values(["clone", "subject"])
    subject, site = (np.unique(found[name], return_inverse=True)[1] for name in ("subject", "clone"))
    return found.assign(kept=remove_collisions(subject, site, found["count"]))[list(COLLISIONS)].reset_index(
        drop=True
    )


def _by_subject(rows):
    """Return each site of each subject once, with its whole count, names as text."""
    rows = rows.astype({name: object for name in ("subject", "clone", "chromosome", "strand")})
    grouped = rows.groupby(["subject", "clone"], sort=False, as_index=False)
    return grouped.agg(
        chromosome=("chromosome", "first"),
        strand=("strand", "first"),
        position=("position", "first"),
        count=("count", "sum"),
    )
