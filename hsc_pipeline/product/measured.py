"""A product's own release data in place of the model's draw."""

import numpy as np
import pyarrow as pa

from hsc_pipeline.product.editing import OUTCOMES, Alleles, median_chances, pair_alleles
from hsc_pipeline.product.genome import Genome
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

NO_SITES = {
    **dict.fromkeys(("chromosome", "strand", "gene", "gene_class"), pa.array([], pa.string())),
    "position": np.zeros(0, np.int64),
    **dict.fromkeys(("in_gene", "near_tss", "near_cpg"), np.zeros(0, bool)),
}


class Measured:
    """What the study file's release data say; None where the model draws.

    Parameters
    ----------
    settings : Settings
        Its ``product_data`` has, where given, ``copies``: (copies, colonies) rows; ``alleles``: share of
        alleles by outcome; ``sites``: (chromosome, position, strand, gene, weight) rows.

    Attributes
    ----------
    copies : array of float, optional
        Share of colonies with 0, 1, ... copies.
    """

    def __init__(self, settings: Settings):
        data = settings.study.get("product_data") or {}
        self.copies = None
        if "copies" in data:
            copies, colonies = np.array(data["copies"]).T
            self.copies = np.bincount(copies, colonies) / colonies.sum()
        self._alleles = data.get("alleles")
        self._sites = None
        if "sites" in data:
            chromosome, position, strand, gene, weight = zip(*data["sites"], strict=True)
            classes = {row[0]: row[1] for row in settings.rows("genes")}
            self._sites = {
                "chromosome": pa.array(chromosome),
                "position": pa.array(position, pa.int64()),
                "strand": pa.array(strand),
                "gene": pa.array(gene),
                "gene_class": pa.array([classes.get(name, "") for name in gene]),
            }
            self._ends = np.cumsum(np.array(weight, float))

    def draw_copies(self, seed: int, cells: int, ratio: float) -> np.ndarray:
        """Draw copies of long-term stem cells from the colonies', less those lost on the way.

        Colonies grow from progenitors.  Each copy is kept with chance `ratio`, at most 1: a negative
        binomial thinned so stays one, of the same dispersion, as `vector.draw_copies` has it.
        """
        ends = np.cumsum(self.copies)[:-1]
        found = np.searchsorted(ends, stream(seed, "product.copies").random(cells), side="right")
        return stream(seed, "product.kept_copies").binomial(found, min(ratio, 1.0))

    def bulk_alleles(self, settings: Settings) -> Alleles | None:
        """Return the measured alleles, paired as in a cell, or None.

        A deletion that takes a primer site shows in no allele table: its share of all alleles stays
        the catalogue's, and the measured shares are of the rest.
        """
        if self._alleles is None:
            return None
        visible = {name: self._alleles.get(name, 0.0) for name in OUTCOMES[1:]}
        hidden = settings["edit.editable_fraction"] * median_chances(settings)["large_deletion"]
        if not sum(visible.values()):
            hidden = 0.0
        share = {name: part * (1 - hidden) for name, part in visible.items()}
        share["large_deletion"] += hidden
        editable = min(1.0, max(settings["edit.editable_fraction"], sum(share.values())))
        return pair_alleles(editable, {name: part / editable for name, part in share.items()})

    def draw_sites(
        self, seed: int, insertions: int, genome: Genome | None
    ) -> dict[str, np.ndarray | pa.Array]:
        """Draw insertion sites, from the measured ones or the genome."""
        if not insertions:
            return NO_SITES
        rng = stream(seed, "product.sites")
        if self._sites is None:
            return genome.draw_sites(rng, insertions)
        where = stream(seed, "product.measured_sites").random(insertions) * self._ends[-1]
        rows = pa.array(np.searchsorted(self._ends[:-1], where, side="right"))
        # What the list of sites does not tell, such as the distance to a transcription start, is the model's.
        return genome.draw_sites(rng, insertions) | {n: c.take(rows) for n, c in self._sites.items()}
