"""Where insertions land."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hsc_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

ONCOGENE = "oncogene"


class Genome:
    """Where a vector's insertions land: named genes at their measured frequencies, the rest anywhere.

    Insertions outside the named genes fall on chromosomes in proportion to their genes as far as
    the vector prefers genes, and to their length for the rest.

    Parameters
    ----------
    chromosomes : sequence of (chromosome, length)
    chromosome_genes : sequence of (chromosome, genes)
        Protein-coding genes on each.
    genes : sequence of (gene, class, frequency, chromosome, start, end)
        Named genes; frequency per insertion of a lentiviral vector.
    settings : Settings
        Values ``vector.``.
    """

    def __init__(
        self,
        chromosomes: Sequence[tuple],
        chromosome_genes: Sequence[tuple],
        genes: Sequence[tuple],
        settings: Settings,
    ):
        names, lengths = zip(*chromosomes, strict=True)
        gene, kind, frequency, on, start, end = zip(*genes, strict=True) if genes else [()] * 6
        frequency = np.array(frequency, float) * np.where(
            np.array(kind) == ONCOGENE, settings["vector.oncogene_ratio"], 1.0
        )
        rich = dict(chromosome_genes)
        by_genes = np.array([rich.get(name, 0) for name in names], float)
        self.in_gene = settings["vector.in_gene_fraction"]
        share = self.in_gene * by_genes / by_genes.sum() + (1 - self.in_gene) * np.array(lengths) / np.sum(
            lengths
        )
        self._ends = np.cumsum(np.concatenate([frequency, share * (1 - frequency.sum())]))
        self._gene = np.array([*gene, *[""] * len(names)], dtype=object)
        self._class = np.array([*kind, *[""] * len(names)], dtype=object)
        self._chromosome = np.array([*on, *names], dtype=object)
        self._first = np.array([*start, *[1] * len(names)])
        self._last = np.array([*end, *lengths])
        self._near = settings["vector.near_tss_fraction"], settings["vector.cpg_fraction"]

    def draw_sites(self, rng: np.random.Generator, insertions: int) -> dict[str, np.ndarray]:
        """Draw independent insertion sites, as the columns of `tables.SITES` from chromosome to near_cpg.

        One row of uniform numbers per insertion, so that the first sites stay the same whatever
        the number drawn.
        """
        where, along, side, inside, tss, cpg = rng.random((insertions, 6)).T
        place = np.searchsorted(self._ends, where * self._ends[-1], side="right")
        first, last = self._first[place], self._last[place]
        named = self._gene[place] != ""
        near_tss, near_cpg = self._near
        return {
            "chromosome": self._chromosome[place],
            "position": first + (along * (last - first + 1)).astype(np.int64),
            "strand": np.where(side < 0.5, "+", "-"),
            "gene": self._gene[place],
            "gene_class": self._class[place],
            # The named genes' own insertions are drawn between their ends.
            "in_gene": named | (inside < self.in_gene),
            "near_tss": tss < near_tss,
            "near_cpg": cpg < near_cpg,
        }

    def shares(self) -> "pd.DataFrame":
        """Return the expected share of insertions by place: chromosome, gene, gene_class and share."""
        import pandas as pd

        share = np.diff(self._ends, prepend=0) / self._ends[-1]
        columns = {"chromosome": self._chromosome, "gene": self._gene, "gene_class": self._class}
        return pd.DataFrame({**columns, "share": share})
