"""Topics of a tracking run on where in the genome clones lie."""

import logging

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.run import Run

logger = logging.getLogger("hsc_pipeline")

PLACE = ["chromosome", "strand", "position"]
FEWEST_SITES = 20  # of either kind, below which regions are not compared
EVEN, PRODUCT, EARLY = "even genome", "background", "lost clones"  # what sites are compared with


def common_sites(run: Run):
    """Yield the windows of the genome with too many sites, against an even genome and a background."""
    from hsc_pipeline.tracking.sites import scan

    if not run.has_sites:
        return
    lengths = _lengths()
    every = _known(_distinct(run.observations), lengths)
    found = scan(*_places(every), lengths)
    yield found.assign(against=EVEN, genes=[_genes(every, row) for row in found.itertuples()])
    late, background, name = compared(run)
    late, background = _known(late, lengths), _known(background, lengths)
    if min(len(late), len(background)) >= FEWEST_SITES:
        found = scan(*_places(late), lengths, background=_places(background), seed=run.settings["seed"])
        yield found.assign(against=name, genes=[_genes(late, row) for row in found.itertuples()])


def common_genes(run: Run):
    """Yield Grubbs' test of the genes whose lengths the user gives."""
    from hsc_pipeline.tracking.sites import grubbs

    if not run.settings["gene_lengths"] or not run.has_sites:
        return
    listed = read_lengths(run.settings["gene_lengths"])
    number = _by_gene(_distinct(run.observations))
    found = grubbs([number.get(gene, 0) for gene in listed["gene"]], listed["length"].to_numpy(float))
    found = found.assign(gene=listed["gene"], length=listed["length"], unlisted=_unlisted(number, listed))
    yield found.dropna(subset="p").sort_values(["p", "gene"], kind="stable")


def _unlisted(number, listed) -> int:
    """Return how many genes with a site have no length."""
    return len(set(number) - set(listed["gene"]))


def enriched_genes(run: Run):
    """Yield the genes with more sites than a background has."""
    from hsc_pipeline.tracking.sites import enrichment

    if not run.has_sites:
        return
    late, background, name = compared(run)
    own, other = _by_gene(late), _by_gene(background)
    if not own or not other:
        return
    found = enrichment(own, other)
    yield found[found["sites"] > 0].assign(against=name)


def compared(run: Run):
    """Return the distinct sites of the stable months, those of the background, and its name.

    Sites that stand in both count with the first, so that none is counted twice.
    """
    since = run.settings["stem_cells"]["from_month"]
    late = _distinct(run.observations, since)
    if run.settings["background"]:
        from hsc_pipeline.formats import read

        # Distinct sites are compared, so it does not matter what their counts are.
        other, name = _distinct(read(run.settings["background"], empty="drop", estimate=True)), PRODUCT
    else:
        other, name = _distinct(run.observations, -np.inf), EARLY
    both = other.merge(late[PLACE], on=PLACE, how="left", indicator=True)
    return late, both[both["_merge"] == "left_only"].drop(columns="_merge"), name


def listed_genes(run: Run):
    """Yield the genes of the user's list in which clones were found, with the largest of these clones."""
    from hsc_pipeline.tracking.sites import annotate

    if not run.settings["genes"]:
        return
    listed = read_genes(run.settings["genes"])
    names = ["subject", "month", "lineage", "sample", "clone", "count", "gene"]
    rows = run.observations.clones.select(names).to_pandas()
    rows["share"] = rows["count"] / rows.groupby("sample", observed=True)["count"].transform("sum")
    rows = rows[rows["gene"].isin(listed["gene"])].astype({"subject": str, "gene": str, "clone": str})
    largest = rows.sort_values("share", ascending=False, kind="stable").drop_duplicates(["subject", "gene"])
    number = rows.groupby(["subject", "gene"])["clone"].nunique().rename("sites").reset_index()
    found = largest.merge(number, on=["subject", "gene"])
    yield found.assign(**{"class": annotate(found["gene"], listed)["class"].to_numpy()})


def read_genes(path: str):
    """Return the user's list of genes, ``gene, class`` and whatever else it has.

    Raises
    ------
    UserError
        If a column is missing, or a gene stands twice.
    """
    return _read_listed(path, ("gene", "class"))


def read_lengths(path: str):
    """Return the user's lengths of genes, ``gene, length`` in bases.

    Raises
    ------
    UserError
        If a column is missing, a gene stands twice, or a length is not a number above 0.
    """
    import pandas as pd

    listed = _read_listed(path, ("gene", "length"))
    length = pd.to_numeric(listed["length"], errors="coerce")
    wrong = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(wrong):
        value = listed["length"].iloc[wrong[0]]
        raise UserError(f"{path}, line {wrong[0] + 2}, column length: {value!r}; allowed: bases, above 0")
    return listed.assign(length=length)


def _read_listed(path: str, columns: tuple[str, str]):
    import pandas as pd

    try:
        listed = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not a CSV: {str(error).splitlines()[0]}") from None
    for name in columns:
        if name not in listed.columns:
            raise UserError(f"{path}: no column {name!r}; it has {', '.join(map(str, listed.columns))}")
    twice = np.flatnonzero(listed["gene"].duplicated())
    if len(twice):
        raise UserError(f"{path}, line {twice[0] + 2}: {listed['gene'].iloc[twice[0]]!r} stands there twice")
    return listed


def _distinct(observations, since: float | None = None):
    """Return the distinct sites, in all subjects together, of samples from a month on if one is given."""
    rows = observations.clones.select([*PLACE, "gene", "month"]).to_pandas().dropna(subset="position")
    rows = rows if since is None else rows[rows["month"] >= since]
    rows = rows.astype({"chromosome": str, "strand": str, "gene": str})
    return rows[[*PLACE, "gene"]].drop_duplicates(PLACE).reset_index(drop=True)


def _lengths() -> dict[str, float]:
    from hsc_pipeline.catalogue import tables

    return dict(tables()["chromosomes"]["rows"])


def _known(sites, lengths):
    """Return the sites on chromosomes, not on scaffolds."""
    return sites[sites["chromosome"].isin(lengths)]


def _places(sites) -> tuple[np.ndarray, np.ndarray]:
    return sites["chromosome"].to_numpy(str), sites["position"].to_numpy(float)


def _by_gene(sites) -> dict[str, int]:
    return sites.loc[sites["gene"] != "", "gene"].value_counts().to_dict()


def _genes(sites, window) -> str:
    inside = sites[
        (sites["chromosome"] == window.chromosome) & sites["position"].between(window.start, window.end)
    ]
    return ", ".join(sorted(set(inside["gene"]) - {""}))
