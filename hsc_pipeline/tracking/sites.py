"""Integration sites: which positions are one site, whose they are, and where too many lie."""

from collections.abc import Mapping

import numpy as np

from hsc_pipeline.errors import UserError


def _default(name: str) -> float:
    from hsc_pipeline.catalogue import branch_values

    return branch_values("tracking")[name].value


def merge_near(chromosome, strand, position, counts, within: float | None = None) -> np.ndarray:
    """Return for each row the row of the site that it belongs to.

    Positions of one chromosome and strand, each at most `within` bases from the next, are one
    site; its place is where most was counted.

    Parameters
    ----------
    chromosome, strand : array of str or int, shape (rows,)
    position : array of int, shape (rows,)
    counts : array of float, shape (rows,)
    within : float, optional
        Bases; None: ``sites.near_bp``.

    Returns
    -------
    array of int, shape (rows,)
        Index of a row.
    """
    within = _default("sites.near_bp") if within is None else within
    chromosome, strand = (np.unique(x, return_inverse=True)[1] for x in (chromosome, strand))
    position, counts = np.asarray(position, np.int64), np.asarray(counts, float)
    order = np.lexsort((position, strand, chromosome))
    if not len(order):
        return order
    near = np.diff(position[order]) <= within
    for name in (chromosome, strand):
        near &= np.diff(name[order]) == 0
    site = np.concatenate([[0], np.cumsum(~near)])
    # The largest of each site comes last in its stretch; ties go to the first position.
    largest = np.lexsort((-np.arange(len(order)), counts[order], site))
    last = np.append(np.flatnonzero(np.diff(site[largest])), len(site) - 1)
    out = np.empty(len(order), np.int64)
    out[order] = order[largest[last]][site]
    return out


def remove_collisions(subject, site, reads, ratio: float | None = None) -> np.ndarray:
    """Tell which rows keep a site that was found in several subjects.

    A site stays with the subject that has `ratio` times the reads of all others together, and with
    nobody if there is none: it is contamination, and nobody knows whose.

    Parameters
    ----------
    subject, site : array of int, shape (rows,)
        Numbers; a site has one number in all subjects.
    reads : array of float, shape (rows,)
    ratio : float, optional
        None: ``sites.collision_ratio``.

    Returns
    -------
    array of bool, shape (rows,)
    """
    ratio = _default("sites.collision_ratio") if ratio is None else ratio
    if ratio <= 1:
        raise UserError(f"ratio: {ratio:g}; allowed: above 1, or two subjects could own a site")
    subject, site, reads = np.asarray(subject), np.asarray(site), np.asarray(reads, float)
    pair, of_row = np.unique(np.column_stack([site, subject]), axis=0, return_inverse=True)
    own = np.bincount(of_row.ravel(), reads)
    number = np.unique(pair[:, 0], return_inverse=True)[1]
    others = np.bincount(number, own)[number] - own
    return ((others <= 0) | (own >= ratio * others))[of_row.ravel()]


def grubbs(gene_sites, gene_length, margin: float | None = None):
    """Test genes for common integration sites by Grubbs' outlier test.

    Sites per base of a gene with `margin` around it, on a log scale, over the genes with a site.
    The null is that genes differ like a normal law, whatever the vector prefers: what is flagged is
    a hot spot, and only a comparison (`enrichment`) tells whether by selection.

    Parameters
    ----------
    gene_sites : array of int, shape (genes,)
        Distinct sites of each gene.
    gene_length : array of float, shape (genes,)
        Bases.
    margin : float, optional
        Bases; None: ``sites.gene_margin_bp``.

    Returns
    -------
    pandas.DataFrame
        ``sites, z, p, p_bonferroni, p_fdr``, a row per gene, NaN without a site; one-sided.

    References
    ----------
    Grubbs 1969, 10.1080/00401706.1969.10490657; Biffi 2011, 10.1182/blood-2010-09-306761.
    """
    import pandas as pd
    from scipy.stats import false_discovery_control, t

    margin = _default("sites.gene_margin_bp") if margin is None else margin
    count, length = np.asarray(gene_sites, float), np.asarray(gene_length, float)
    hit = count > 0
    out = pd.DataFrame({"sites": count}).assign(z=np.nan, p=np.nan, p_bonferroni=np.nan, p_fdr=np.nan)
    n = int(hit.sum())
    if n < 4:
        return out
    frequency = np.log2(count[hit] / (length[hit] + margin))
    z = (frequency - frequency.mean()) / frequency.std(ddof=1)
    squares = n * (n - 2) * z**2 / np.maximum((n - 1) ** 2 - n * z**2, 1e-12)
    p = t.sf(np.sign(z) * np.sqrt(squares), n - 2)
    out.loc[hit, "z"], out.loc[hit, "p"] = z, p
    out.loc[hit, "p_bonferroni"] = np.minimum(1, p * n)
    out.loc[hit, "p_fdr"] = false_discovery_control(p)
    return out


def scan(
    chromosome,
    position,
    lengths: Mapping,
    window: float = 50_000,
    background=None,
    seed: int = 0,
    permutations: int = 999,
):
    """Find the windows of the genome that hold too many sites.

    Without a background, against sites that fall anywhere alike: the p-value is that of the
    fullest window of a Poisson process on the whole genome [1]_.  A vector prefers some genes, so
    this finds hot spots.  With a background, such as the sites of the product, against any choice
    of as many sites among both: permutation, exact whatever the vector prefers.

    Parameters
    ----------
    chromosome : array of str, shape (sites,)
    position : array of float, shape (sites,)
        Distinct sites.
    lengths : mapping of str to float
        Bases of each chromosome.
    window : float
        Bases; with a background, as many sites of both as these bases hold on average, at least 20.
    background : tuple of (chromosome, position), optional
        Distinct sites.
    seed, permutations : int
        Of the comparison with a background.

    Returns
    -------
    pandas.DataFrame
        ``chromosome, start, end, sites, expected, p``: windows with the most sites of their
        surroundings, p below 1, by p.  The p-values are for the whole genome: the least one is
        below 5 % in at most one genome of twenty without a hot spot.

    References
    ----------
    .. [1] Alm 1983, 10.1080/03461238.1983.10408702; Glaz 2001, 10.1007/978-1-4757-3460-7.
    """
    import pandas as pd

    own = _placed(chromosome, position, lengths)
    if background is None:
        rows = _fullest_windows(own, lengths, window)
    else:
        there = _placed(background[0], background[1], lengths)
        rows = _fullest_against(own, there, lengths, window, seed, permutations)
    table = pd.DataFrame(rows, columns=["chromosome", "start", "end", "sites", "expected", "p"])
    return table[table["p"] < 1].sort_values(["p", "chromosome", "start"]).reset_index(drop=True)


def scan_p(k: int, expected: float, windows: float) -> float:
    """Return the chance of a window with k or more events of a Poisson process, Alm 1983.

    Parameters
    ----------
    k : int
    expected : float
        Events of one window.
    windows : float
        Windows that fit side by side.
    """
    from scipy.stats import poisson

    if k <= 1 or k <= expected:
        return 1.0
    clumps = (1 - expected / k) * expected * (windows - 1) * poisson.pmf(k - 1, expected)
    return float(-np.expm1(-clumps + np.log1p(-min(poisson.sf(k - 1, expected), 1 - 1e-16))))


def _placed(chromosome, position, lengths: Mapping) -> tuple[np.ndarray, np.ndarray]:
    chromosome, position = np.asarray(chromosome).astype(str), np.asarray(position, float)
    foreign = sorted(set(chromosome.tolist()) - set(map(str, lengths)))
    if foreign:
        raise UserError(f"chromosome: {foreign[0]!r} has no length; allowed: {', '.join(map(str, lengths))}")
    order = np.lexsort((position, chromosome))
    return chromosome[order], position[order]


def _fullest_windows(own, lengths: Mapping, window: float) -> list[tuple]:
    genome = float(sum(lengths.values()))
    expected, rows = len(own[0]) / genome * window, []
    for name in np.unique(own[0]):
        at = own[1][own[0] == name]
        inside = np.searchsorted(at, at + window, side="right") - np.arange(len(at))
        for first in _peaks(at, inside, window):
            k = int(inside[first])
            p = scan_p(k, expected, genome / window)
            rows.append((name, at[first], at[first + k - 1], k, expected, p))
    return rows


def _fullest_against(own, others, lengths: Mapping, window: float, seed: int, permutations: int):
    """Count among neighbours in rank, of both kinds, and permute which are whose."""
    chromosome, position = (np.concatenate(pair) for pair in zip(own, others, strict=True))
    mine = np.arange(len(chromosome)) < len(own[0])
    order = np.lexsort((position, chromosome))
    chromosome, position, mine = chromosome[order], position[order], mine[order]
    width = max(20, round(window / float(sum(lengths.values())) * len(order)))
    if len(order) <= width:
        return []
    # A window may not reach over the end of a chromosome.
    whole = chromosome[width - 1 :] == chromosome[: len(order) - width + 1]

    def inside(which: np.ndarray) -> np.ndarray:
        running = np.concatenate([[0], np.cumsum(which)])
        return np.where(whole, running[width:] - running[:-width], 0)

    rng = np.random.default_rng(seed)
    largest = np.sort([inside(rng.permutation(mine)).max() for _ in range(permutations)])
    found = inside(mine)
    reached = permutations - np.searchsorted(largest, found, side="left")
    expected = width * mine.mean()
    return [
        (
            chromosome[first],
            position[first],
            position[first + width - 1],
            int(found[first]),
            expected,
            float((1 + reached[first]) / (1 + permutations)),
        )
        for first in _peaks(np.arange(len(found)), found, width)
    ]


def _peaks(place: np.ndarray, inside: np.ndarray, width: float) -> list[int]:
    """Return the fullest windows, none within `width` of a fuller one."""
    taken, found = np.zeros(len(place), bool), []
    for first in np.argsort(-inside, kind="stable"):
        if inside[first] < 2:
            break
        if not taken[first]:
            found.append(int(first))
            low, high = np.searchsorted(place, [place[first] - width, place[first] + width + 1e-9])
            taken[low:high] = True
    return found


def enrichment(genes, background):
    """Test genes for more sites than a background has.

    Parameters
    ----------
    genes, background : mapping of str to int
        Distinct sites by gene, and all of those of the background, such as the product's own.

    Returns
    -------
    pandas.DataFrame
        ``gene, sites, background, odds_ratio, p, p_adjusted``, by p; Fisher's exact test, one-sided,
        and Benjamini & Hochberg's adjustment.  The odds ratio has half a site added to each cell.
    """
    import pandas as pd
    from scipy.stats import false_discovery_control, hypergeom

    names = sorted(set(genes) | set(background))
    a = np.array([genes.get(name, 0) for name in names])
    b = np.array([background.get(name, 0) for name in names])
    if a.sum() == 0 or b.sum() == 0:
        raise UserError("genes: no site in the genes, or none in the background; nothing to compare")
    p = hypergeom.sf(a - 1, a.sum() + b.sum(), a + b, a.sum())
    odds = (a + 0.5) * (b.sum() - b + 0.5) / ((b + 0.5) * (a.sum() - a + 0.5))
    table = pd.DataFrame({"gene": names, "sites": a, "background": b, "odds_ratio": odds, "p": p})
    table["p_adjusted"] = false_discovery_control(p)
    return table.sort_values(["p", "gene"]).reset_index(drop=True)


def annotate(genes, listed):
    """Return what a table of genes of interest says of each gene.

    Parameters
    ----------
    genes : sequence of str
    listed : pandas.DataFrame
        The user's table: ``gene`` and further columns, such as the role in cancer.

    Returns
    -------
    pandas.DataFrame
        A row per gene given, in their order: ``gene``, ``listed``, and the further columns.
    """
    import pandas as pd

    if "gene" not in listed.columns:
        raise UserError(f"table of genes: no column 'gene'; it has {', '.join(map(str, listed.columns))}")
    twice = listed["gene"][listed["gene"].duplicated()]
    if len(twice):
        raise UserError(f"table of genes: {twice.iloc[0]!r} stands there twice; allowed: once")
    found = pd.DataFrame({"gene": list(genes)}).merge(listed, on="gene", how="left")
    found.insert(1, "listed", found["gene"].isin(listed["gene"]))
    return found
