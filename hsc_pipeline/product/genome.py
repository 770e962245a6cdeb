"""Where insertions land."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hsc_pipeline.errors import UserError
from hsc_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

ONCOGENE = "oncogene"
STRANDS = pa.array(["+", "-"])


class Genome:
    """Where a vector's insertions land: named genes at their measured frequencies, the rest anywhere.

    Of the insertions outside the named genes, those within a gene fall on chromosomes in proportion
    to their genes, the others to their length.

    Parameters
    ----------
    chromosomes : sequence of (chromosome, length)
    chromosome_genes : sequence of (chromosome, genes)
        Protein-coding genes on each.
    genes : sequence of (gene, class, frequency, chromosome, start, end)
        Named genes; frequency per insertion of a lentiviral vector.
    settings : Settings
        Values ``vector.``.

    Raises
    ------
    UserError
        If the vector would hit named genes more often than it integrates.
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
        if frequency.sum() > 1:
            raise UserError(
                f"vector.oncogene_ratio = {settings['vector.oncogene_ratio']:g}: the named genes would take "
                f"{frequency.sum():.3g} of all insertions; allowed: at most 1"
            )
        rest = 1 - frequency.sum()
        in_gene = max(0.0, settings["vector.in_gene_fraction"] - frequency.sum())
        rich = dict(chromosome_genes)
        by_genes = np.array([rich.get(name, 0) for name in names], float)
        by_length = np.array(lengths, float)
        # Places: the named genes, the other genes of each chromosome, and the rest of each.
        self._ends = np.cumsum(
            np.concatenate(
                [
                    frequency,
                    in_gene * by_genes / by_genes.sum(),
                    (rest - in_gene) * by_length / by_length.sum(),
                ]
            )
        )
        self._genic = len(gene) + len(names)
        elsewhere = 2 * len(names)
        self._gene = pa.array([*gene, *[""] * elsewhere])
        self._class = pa.array([*kind, *[""] * elsewhere])
        self._chromosome = pa.array([*on, *names, *names])
        self._first = np.array([*start, *[1] * elsewhere])
        self._last = np.array([*end, *lengths, *lengths])
        self._near = settings["vector.near_tss_fraction"], settings["vector.cpg_fraction"]

    def draw_sites(self, rng: np.random.Generator, insertions: int) -> dict[str, np.ndarray | pa.Array]:
        """Draw independent insertion sites, as the columns of `tables.SITES` from chromosome to near_cpg.

        One row of uniform numbers per insertion, so that the first sites stay the same whatever
        the number drawn.
        """
        where, along, side, tss, cpg = rng.random((insertions, 5)).T
        place = np.searchsorted(self._ends[:-1], where * self._ends[-1], side="right")
        first, last = self._first[place], self._last[place]
        rows = pa.array(place)
        near_tss, near_cpg = self._near
        return {
            "chromosome": self._chromosome.take(rows),
            "position": first + (along * (last - first + 1)).astype(np.int64),
            "strand": STRANDS.take(pa.array((side >= 0.5).astype(np.int64))),
            "gene": self._gene.take(rows),
            "gene_class": self._class.take(rows),
            "in_gene": place < self._genic,
            "near_tss": tss < near_tss,
            "near_cpg": cpg < near_cpg,
        }

    def shares(self) -> "pd.DataFrame":
        """Return the expected share of insertions by place: chromosome, gene, gene_class and share."""
        import pandas as pd

        share = np.diff(self._ends, prepend=0) / self._ends[-1]
        columns = {"chromosome": self._chromosome, "gene": self._gene, "gene_class": self._class}
        return pd.DataFrame({**{n: c.to_pylist() for n, c in columns.items()}, "share": share})
